import assert from "node:assert/strict";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "../../src/base/random.ts";
import { sealedEpoch } from "../../src/crypto/field-cipher.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { type HiveProcess, startHive } from "../support/hive-process.ts";
import { ask, tell } from "./rest.ts";
import { startTraffic } from "./traffic.ts";

/** HIVEPOST_KILLS=50 is the long form. */
const kills = Number(process.env["HIVEPOST_KILLS"] ?? 6);

describe("keys that change while mail flows and the server is killed", () => {
  it("lose no message, and in the end everything is sealed under the newest", async (test) => {
    const seed = Number(process.env["HIVEPOST_SEED"] ?? Date.now() % 1_000_000);
    test.diagnostic(`HIVEPOST_SEED=${seed}`);
    const random = seededRandom(seed);
    await using folder = await temporaryFolder();
    using traffic = startTraffic();
    let hive = await startHive(folder.path);
    await traffic.connect(hive);
    for (let round = 0; round < kills; round++) {
      const before = traffic.judge.counts.acknowledged;
      await eventually("mail flows", () => traffic.judge.counts.acknowledged > before + 200, 60_000);
      const gone = traffic.load.expectEnd();
      const changing = changeKeys(hive);
      await sleep(random() * 400);
      await hive.end("SIGKILL");
      await Promise.all([gone, changing]);
      hive = await startHive(folder.path);
      await traffic.connect(hive);
    }
    await using last = hive;
    const { epoch } = await tell(last, "rotateKeys", {});
    assert.ok(epoch > 2, `only epoch ${epoch} after ${kills} rounds`);
    await tell(last, "reencryptMessages", {});
    await traffic.settled();
    const isDone = async () => !(await tell(last, "getKeys", {})).reencryption.running;
    await eventually("everything is sealed anew", isDone, 60_000);
    // What an earlier run of it had passed before the last rotation is left to the next run.
    await tell(last, "reencryptMessages", {});
    await eventually("everything is sealed anew", isDone, 60_000);
    const sealed = sealedFields(folder.path);
    test.diagnostic(`${sealed.length} fields, epoch ${epoch}`);
    assert.ok(sealed.length >= traffic.judge.counts.acknowledged);
    assert.deepEqual([...new Set(sealed.map(sealedEpoch))], [epoch]);
    const nonces = sealed.map((it) => Buffer.from(it.subarray(1, 17)).toString("hex"));
    assert.equal(new Set(nonces).size, nonces.length, "a nonce was used twice");
  });
});

/** Everything that can be done to keys, until the server is gone. */
async function changeKeys(hive: HiveProcess): Promise<void> {
  try {
    for (let turn = 0; turn < 100; turn++) {
      for (const name of ["rotateKeys", "reencryptMessages", "rewrapKeys"] as const) {
        const { status, body } = await ask(hive, name, {});
        assert.ok(status === 200 || status === 503, JSON.stringify(body));
        await sleep(20);
      }
    }
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
  }
}

function sealedFields(folder: string): Uint8Array[] {
  using db = new DatabaseSync(path.join(folder, "hivepost.db"), { readOnly: true });
  const rows = db.prepare("SELECT content, metadata FROM messages").all();
  return rows.flatMap((it) => [it["content"], it["metadata"]]).filter((it) => it !== null) as Uint8Array[];
}
