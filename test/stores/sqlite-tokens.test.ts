import assert from "node:assert/strict";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { openAccess } from "../../src/app/access.ts";
import { silentLog } from "../../src/base/log.ts";
import { toTimestamp } from "../../src/base/time.ts";
import { parseToken } from "../../src/crypto/tokens.ts";
import { backupDatabase, restoreDatabase } from "../../src/stores/sqlite/backup.ts";
import { databaseName } from "../../src/stores/sqlite/schema.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { ada, clockAt, monday_ms, temporaryFolder, testPolicy } from "../support/fixtures.ts";

const randomBytes = (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes);

async function openHive(folder: string, clock = clockAt()) {
  await using opened = new AsyncDisposableStack();
  const store = opened.use(
    await openSqliteStore({ folder, clock, policy: testPolicy(), log: silentLog, retention_ms: 0 }),
  );
  const access = opened.use(await openAccess({ tokens: store.tokens, clock, randomBytes, log: silentLog }));
  const owned = opened.move();
  return { clock, store, access, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Lets nobody else write to the database until it is disposed. */
function blockWrites(folder: string): Disposable {
  const db = new DatabaseSync(path.join(folder, databaseName));
  db.exec("BEGIN IMMEDIATE");
  return { [Symbol.dispose]: () => db.close() };
}

const wanted = { scopes: ["agent"], agent_id: ada } as const;

describe("a token whose revocation cannot be written down", () => {
  it("is void all the same, its owner is told, and the next revocation lasts over restarts", async () => {
    await using folder = await temporaryFolder();
    const issued = await (async () => {
      await using hive = await openHive(folder.path);
      const { access, clock, store } = hive;
      const { token, key_id } = await access.issue({ ...wanted, scopes: [...wanted.scopes] }, "operator");
      const caller = access.authenticate(token);
      {
        using _ = blockWrites(folder.path);
        const refused = access.revoke(key_id);
        assert.equal(caller?.voided?.aborted, true);
        await assert.rejects(refused, { code: "unavailable", message: /^the token is void .* revoke it again/ });
      }
      assert.equal(access.authenticate(token), undefined);
      assert.equal(access.isHeld(ada), false);
      assert.equal(access.list()[0]?.revoked_at, undefined);
      assert.equal((await store.tokens.tokens())[0]?.revoked_at, undefined);
      clock.advance(1_000);
      const revoked = await access.revoke(key_id);
      assert.equal(revoked.revoked_at, toTimestamp(monday_ms + 1_000));
      return { token, revoked };
    })();
    await using again = await openHive(folder.path);
    assert.equal(again.access.authenticate(issued.token), undefined);
    assert.deepEqual(again.access.list(), [issued.revoked]);
  });
});

describe("a token that cannot be written down", () => {
  it("is not made, and takes nobody's place", async () => {
    await using folder = await temporaryFolder();
    await using hive = await openHive(folder.path);
    const issue = () => hive.access.issue({ ...wanted, scopes: [...wanted.scopes] }, "operator");
    {
      using _ = blockWrites(folder.path);
      for (let i = 0; i < 3; i++) await assert.rejects(issue(), { code: "unavailable" });
    }
    assert.deepEqual(await hive.store.tokens.tokens(), []);
    await issue();
    await issue();
    await assert.rejects(issue(), { code: "token_limit" });
  });
});

describe("what is written of a token", () => {
  it("keeps the first revocation and the last use, in whatever order they come", async () => {
    await using folder = await temporaryFolder();
    const [first, second, third] = [monday_ms, monday_ms + 60_000, monday_ms + 120_000].map(toTimestamp);
    const expected = { revoked_at: first, last_used_at: third };
    {
      await using hive = await openHive(folder.path);
      const { tokens } = hive.store;
      const { key_id } = await hive.access.issue({ scopes: ["operate"] }, "operator");
      const use = (at: string | undefined) => tokens.noteUse([{ key_id, at: at ?? "" }]);
      const revocation = tokens.revoke(key_id);
      const uses = [use(third), use(second)];
      hive.clock.advance(500);
      const revokedAgain = tokens.revoke(key_id);
      await Promise.all([...uses, revocation, revokedAgain]);
      assert.equal((await revokedAgain)?.revoked_at, first);
      const [known] = await tokens.tokens();
      assert.deepEqual({ revoked_at: known?.revoked_at, last_used_at: known?.last_used_at }, expected);
    }
    await using again = await openHive(folder.path);
    const [kept] = await again.store.tokens.tokens();
    assert.deepEqual({ revoked_at: kept?.revoked_at, last_used_at: kept?.last_used_at }, expected);
  });

  it("is tried again where a use could not be noted", async () => {
    await using folder = await temporaryFolder();
    const used_at = toTimestamp(monday_ms + 60_000);
    {
      await using hive = await openHive(folder.path);
      const { token } = await hive.access.issue({ scopes: ["operate"] }, "operator");
      hive.clock.advance(60_000);
      {
        using _ = blockWrites(folder.path);
        const { key_id } = hive.access.list()[0] ?? { key_id: "" };
        await assert.rejects(hive.store.tokens.noteUse([{ key_id, at: used_at }]), { code: "unavailable" });
        assert.equal((await hive.store.tokens.tokens())[0]?.last_used_at, undefined);
      }
      assert.ok(hive.access.authenticate(token));
    }
    await using again = await openHive(folder.path);
    assert.equal(again.access.list()[0]?.last_used_at, used_at);
  });
});

describe("a token that was revoked after a backup was made", () => {
  it("stays void where the backup takes the place of the database that knows, and comes back where nothing knows", async () => {
    await using folder = await temporaryFolder();
    await using elsewhere = await temporaryFolder();
    const backup = path.join(folder.path, "backup.db");
    const issue = async ({ access }: Awaited<ReturnType<typeof openHive>>) =>
      await access.issue({ scopes: ["operate"] }, "operator");
    const [leaked, kept] = await (async () => {
      await using hive = await openHive(folder.path);
      return [await issue(hive), await issue(hive)] as const;
    })();
    await backupDatabase(folder.path, backup, () => undefined);
    const younger = await (async () => {
      await using hive = await openHive(folder.path);
      const issued = await issue(hive);
      for (const { key_id } of [leaked, issued]) await hive.access.revoke(key_id);
      return issued;
    })();
    await restoreDatabase(backup, folder.path, { force: true });
    await restoreDatabase(backup, elsewhere.path, { force: false });
    const opens = async (data_dir: string) => {
      await using hive = await openHive(data_dir);
      const token = parseToken(younger.token);
      // As a start does with what lies in admin.token.
      if (token) await hive.access.adopt(token);
      return [leaked, kept, younger].map((it) => hive.access.authenticate(it.token) !== undefined);
    };
    assert.deepEqual(await opens(folder.path), [false, true, false]);
    assert.deepEqual(await opens(elsewhere.path), [true, true, true]);
  });
});
