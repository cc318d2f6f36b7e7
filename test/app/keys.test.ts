import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { openAuditLog } from "../../src/app/audit.ts";
import { type HiveKeys, openHiveKeys } from "../../src/app/keys.ts";
import { startRealTimer, systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { type MasterKeys, openMasterKeys } from "../../src/crypto/master-keys.ts";
import { openMemoryAudit } from "../../src/stores/memory/audit.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { chance } from "../crypto/keys.ts";
import { temporaryFolder, testPolicy } from "../support/fixtures.ts";

type Scene = AsyncDisposable & {
  readonly keys: HiveKeys;
  /** As a server that starts now has them. */
  openMasterKeys(): MasterKeys;
  /** Id of the master key that the stored data keys are wrapped by, if it is one. */
  wrappedBy(): Promise<string | undefined>;
  /** The epochs that the store was told to seal under, in order. */
  readonly sealedUnder: readonly number[];
};

/** Keys under a master key in a real file. */
async function scene(): Promise<Scene> {
  await using opened = new AsyncDisposableStack();
  const folder = opened.use(await temporaryFolder());
  const data_dir = path.join(folder.path, "hive");
  await mkdir(data_dir);
  const clock = systemClock;
  const store = opened.use(openMemoryStore({ clock, policy: testPolicy() }));
  const audit = opened.use(openAuditLog({ store: openMemoryAudit(), clock, log: silentLog }));
  const file = path.join(folder.path, "hive.key");
  const openKeys = () => openMasterKeys({ file, data_dir, randomBytes: chance, onMade: () => undefined });
  const sealedUnder: number[] = [];
  const keys = opened.use(
    await openHiveKeys({
      store: {
        ...store.keys,
        use: async ({ content }) => void sealedUnder.push(content.at(-1)?.epoch ?? 0),
      },
      masterKeys: openKeys(),
      clock,
      startTimer: startRealTimer,
      randomBytes: chance,
      log: silentLog,
      audit,
    }),
  );
  const owned = opened.move();
  return {
    keys,
    openMasterKeys: openKeys,
    sealedUnder,
    async wrappedBy() {
      const ids = new Set((await store.keys.records.load()).map((it) => it.provider));
      return ids.size === 1 ? [...ids][0] : undefined;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe("the keys of a hive", () => {
  it("are wrapped by a master key that is found again, however many replacements come at once", async () => {
    for (let round = 0; round < 20; round++) {
      await using it = await scene();
      const before = await it.wrappedBy();
      const answers = await Promise.all(Array.from({ length: 5 }, () => it.keys.rewrap()));
      const ids = [before ?? "", ...answers.map((status) => status.master_key)];
      assert.equal(new Set(ids).size, 6, "each made a key of its own");
      assert.equal(await it.wrappedBy(), ids.at(-1));
      // The last is the one in use; those before are what older backups need.
      for (const id of ids) assert.equal((await it.openMasterKeys().current(id)).id, id);
    }
  });

  it("are used in the order of their epochs, however many rotations come at once", async () => {
    await using it = await scene();
    const answers = await Promise.all([
      it.keys.rotate(),
      it.keys.rewrap(),
      it.keys.rotate(),
      it.keys.rotateIfDue(),
      it.keys.rotate(),
    ]);
    assert.deepEqual(it.sealedUnder, [1, 2, 3, 4]);
    assert.equal(answers.at(-1)?.epoch, 4);
  });
});
