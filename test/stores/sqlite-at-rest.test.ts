import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import type { Store } from "../../src/app/ports.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Message } from "../../src/contract/messages.ts";
import { backupDatabase } from "../../src/stores/sqlite/backup.ts";
import { eventually } from "../support/eventually.ts";
import { ada, aPublication, bob, clockAt, temporaryFolder, testPolicy } from "../support/fixtures.ts";
import { openUnlockedStore } from "../support/unlocked.ts";
import { aClaim, contents, leaseOf } from "./opened.ts";

function openStore(folder: string): Promise<Store> {
  const policy = testPolicy({ retry: { ...testPolicy().retry, task: oneAttempt } });
  return openUnlockedStore({ folder, clock: clockAt(), policy, log: silentLog, retention_ms: 0 });
}

const oneAttempt = { max_attempts: 1, base_delay_ms: 0, max_delay_ms: 0 };

/** Words that occur nowhere else; a long text goes on overflow pages. */
const secrets = ["Quokkaberry", "wombatfield", "ünïcödeßtraße", "secretpath", "numbatvalue", "echidnatail"] as const;
const texts = [`A Quokkaberry pie, please`, `ünïcödeßtraße 成功 wombatfield`, `${"padding ".repeat(3_000)}echidnatail`];
const metadata = { secretpath: { inner: ["numbatvalue", 42] } };

async function sendAll(store: Store): Promise<Message[]> {
  const publications = texts.map((content) => aPublication({ from_agent: ada, to_agent: bob, content, metadata }));
  const outcomes = await store.deliveries.publish(publications);
  return outcomes.flatMap((it) => (it.outcome === "accepted" ? [it.message] : []));
}

describe("what lies on the disk", () => {
  it("shows nothing that was said: not the database, its log, the index or a backup, open or closed", async () => {
    await using folder = await temporaryFolder();
    const hive = path.join(folder.path, "hive");
    {
      await using store = await openStore(hive);
      const sent = await sendAll(store);
      assert.deepEqual(findSecrets(folder.path), []);
      await eventually("it is indexed", async () => (await store.status()).gauges["index_lag_messages"] === 0);
      const found = await store.history.search({ words: ["wombatfield"], order: "newest", limit: 9 });
      assert.deepEqual(contents(found.rows), [texts[1]]);
      // One dies, one is answered, and all is asked for in every way.
      const claimed = await store.deliveries.claim(aClaim(bob));
      assert.ok(claimed.outcome === "claimed" && claimed.deliveries.length === 3);
      const [first, second] = claimed.deliveries;
      assert.ok(first && second);
      await store.deliveries.reject(leaseOf(first), "no", { actor: bob });
      await store.deliveries.acknowledge([leaseOf(second)], bob);
      assert.ok(sent[0]);
      const answer = { reply_to: sent[0].id, from_agent: bob, to_agent: ada, content: "Quokkaberry it is" };
      await store.deliveries.publish([aPublication({ ...answer, metadata })]);
      assert.equal((await store.history.deadLetters({ limit: 9 })).rows[0]?.message.content, texts[0]);
      await backupDatabase(hive, path.join(folder.path, "backup.db"), () => undefined);
      assert.deepEqual(findSecrets(folder.path), []);
    }
    assert.deepEqual(findSecrets(folder.path), [], "after it was closed");
    // The search for secrets would find them.
    const control = new DatabaseSync(path.join(folder.path, "control.db"));
    control.exec("CREATE TABLE t (x); INSERT INTO t VALUES ('numbatvalue')");
    control.close();
    assert.deepEqual(findSecrets(folder.path), ["numbatvalue in control.db"]);
  });

  it("is sealed with a nonce of its own each time, over restarts and epochs", async () => {
    await using folder = await temporaryFolder();
    for (let start = 0; start < 4; start++) {
      await using store = await openStore(folder.path);
      for (let batch = 0; batch < 5; batch++) {
        const publications = Array.from({ length: 400 }, () =>
          aPublication({ content: "the same", metadata: { a: 1 } }),
        );
        await store.deliveries.publish(publications);
      }
    }
    using db = new DatabaseSync(path.join(folder.path, "hivepost.db"), { readOnly: true });
    const rows = db.prepare("SELECT content, metadata FROM messages").all();
    const nonces = rows.flatMap((it) => [it["content"], it["metadata"]]).map((it) => hexOf(it as Uint8Array, 5, 17));
    assert.equal(nonces.length, 4 * 5 * 400 * 2);
    assert.equal(new Set(nonces).size, nonces.length);
  });
});

describe("a message whose sealed bytes were tampered with", () => {
  const tamperings: [what: string, sql: string][] = [
    ["cut short", "UPDATE messages SET content = substr(content, 1, 10) WHERE position = ?1"],
    ["empty", "UPDATE messages SET content = x'' WHERE position = ?1"],
    [
      "another's",
      "UPDATE messages SET content = (SELECT content FROM messages WHERE position <> ?1) WHERE position = ?1",
    ],
    ["its own metadata", "UPDATE messages SET content = metadata WHERE position = ?1"],
    ["without its metadata's end", "UPDATE messages SET metadata = substr(metadata, 1, 20) WHERE position = ?1"],
    [
      "of an epoch to come",
      "UPDATE messages SET content = CAST(x'01000000ff' || substr(content, 6) AS BLOB) WHERE position = ?1",
    ],
    ["plain text", "UPDATE messages SET content = CAST('do as I say' AS BLOB) WHERE position = ?1"],
  ];
  for (const [what, sql] of tamperings) {
    it(`is handed out empty and says why, and keeps nobody from the others: ${what}`, async () => {
      await using folder = await temporaryFolder();
      {
        await using store = await openStore(folder.path);
        for (const content of ["the red one", "the green one"]) {
          await store.deliveries.publish([aPublication({ from_agent: ada, to_agent: bob, content, metadata })]);
        }
      }
      tamper(folder.path, sql);
      await using store = await openStore(folder.path);
      const all = await store.history.search({ order: "oldest", limit: 9 });
      assert.deepEqual(contents(all.rows), ["", "the green one"]);
      assert.match(
        all.rows[0]?.unreadable ?? "",
        /message [0-9a-f-]{36} (is not as this hive has sealed it|names key epoch 255)/,
      );
      assert.equal(all.rows[1]?.unreadable, undefined);
      for (const word of ["red", "say"]) {
        assert.deepEqual((await store.history.search({ words: [word], order: "oldest", limit: 9 })).rows, []);
      }
      const claimed = await store.deliveries.claim(aClaim(bob));
      assert.deepEqual(claimed.outcome === "claimed" && contents(claimed.deliveries), ["", "the green one"]);
      while (!(await store.keys.reencrypt(1)).done);
      const traced = await store.history.message(all.rows[0]?.id ?? ("" as Message["id"]));
      assert.ok(traced?.unreadable, "sealing anew does not make it whole");
    });
  }
});

/** Changes the first message, and with it the sum of the file, as who knows how to would. */
function tamper(folder: string, sql: string): void {
  rmSync(path.join(folder, "hivepost.db.sum"));
  using db = new DatabaseSync(path.join(folder, "hivepost.db"));
  const { position } = db.prepare("SELECT MIN(position) AS position FROM messages").get() as { position: number };
  db.prepare(sql).run(position);
}

/** Which secrets stand readable in which files below a folder, in UTF-8 or UTF-16, in any case. */
function findSecrets(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((it) => it.isFile());
  return files.flatMap(({ name, parentPath }) => {
    const bytes = readFileSync(path.join(parentPath, name));
    const readings = [bytes.toString("utf8"), bytes.toString("utf16le"), bytes.subarray(1).toString("utf16le")];
    const text = readings.join("\n").toLowerCase();
    return secrets.filter((it) => text.includes(it.toLowerCase())).map((it) => `${it} in ${name}`);
  });
}

function hexOf(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(from, to)).toString("hex");
}
