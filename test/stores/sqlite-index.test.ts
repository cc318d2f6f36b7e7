import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { words } from "../../src/core/messaging/words.ts";
import type { Vault } from "../../src/crypto/vault.ts";
import { failureOf, fromWireError, isDamage, toWireError } from "../../src/stores/sqlite/failure.ts";
import { matchExpression } from "../../src/stores/sqlite/index-file.ts";
import { eventually } from "../support/eventually.ts";
import { ada, aPublication, bob, clockAt, temporaryFolder, testPolicy } from "../support/fixtures.ts";
import { openUnlockedStore, vaultOf } from "../support/unlocked.ts";

function openStore(folder: string) {
  const options = { folder, clock: clockAt(), policy: testPolicy(), log: silentLog, retention_ms: 0 };
  return openUnlockedStore(options);
}

describe("the search index", () => {
  const mishaps: [string, (file: string) => void][] = [
    ["is no database", (file) => writeFileSync(file, "no index at all ".repeat(1_000))],
    ["is of another version", (file) => new DatabaseSync(file).exec("PRAGMA user_version = 999")],
    [
      "was open when the machine stopped",
      (file) => new DatabaseSync(file).exec("UPDATE progress SET boot_id = 'then'"),
    ],
    [
      "was made from another hive",
      (file) => new DatabaseSync(file).exec("UPDATE progress SET event_position = 1000000"),
    ],
    [
      "was made from a hive with another past",
      (file) => new DatabaseSync(file).exec("UPDATE progress SET event_at_ms = 1"),
    ],
  ];
  for (const [what, mishap] of mishaps) {
    it(`that ${what} is made anew, and searches find everything meanwhile and after`, async () => {
      await using folder = await temporaryFolder();
      {
        await using store = await openStore(folder.path);
        await store.deliveries.publish([aPublication({ content: "the red build" })]);
        await eventually("it is indexed", async () => (await store.status()).gauges["index_lag_messages"] === 0);
      }
      mishap(path.join(folder.path, "index.db"));
      await using store = await openStore(folder.path);
      await store.deliveries.publish([aPublication({ content: "the green build", from_agent: bob, to_agent: ada })]);
      const find = async () =>
        (await store.history.search({ words: ["build"], order: "oldest", limit: 9 })).rows.map((it) => it.content);
      assert.deepEqual(await find(), ["the red build", "the green build"]);
      await eventually("it is indexed anew", async () => (await store.status()).gauges["index_lag_messages"] === 0);
      assert.deepEqual(await find(), ["the red build", "the green build"]);
    });
  }
});

describe("what the index cuts into words by itself", () => {
  const long = "a".repeat(64);
  const texts: readonly string[] = [
    "Plain words, 3 of them: snake_case!",
    `${long} ${long}b`,
    `x ${"y".repeat(300)} ${"z".repeat(65)}_ end`,
    `${" ".repeat(100)}${long}`,
    "nul\u0000word behind it",
    "GRÖSSE straße ﬁne ½ 成功 İstanbul",
    "-n ; \u001b[31m \t\r\n tab",
  ];

  it("it finds by the words that a search looks for, whatever the text", async () => {
    await using folder = await temporaryFolder();
    await using store = await openStore(folder.path);
    for (const content of texts) await store.deliveries.publish([aPublication({ content })]);
    await eventually("it is indexed", async () => (await store.status()).gauges["index_lag_messages"] === 0);
    const { positions } = findTerms(folder.path, await vaultOf(store));
    for (const [index, content] of texts.entries()) {
      for (const word of words(content)) {
        assert.ok(positions(word).includes(index), `${JSON.stringify(content.slice(0, 20))} is not found by ${word}`);
      }
    }
  });

  /** Which messages, numbered as they came, the index alone knows to hold a word. */
  function findTerms(folder: string, vault: Vault) {
    using db = new DatabaseSync(path.join(folder, "index.db"), { readOnly: true });
    using hive = new DatabaseSync(path.join(folder, "hivepost.db"), { readOnly: true });
    const order = hive
      .prepare("SELECT position FROM messages ORDER BY position")
      .all()
      .map((it) => it["position"]);
    const found = new Map<string, number[]>();
    for (const word of new Set(texts.flatMap(words))) {
      const rows = db
        .prepare("SELECT rowid FROM terms WHERE terms MATCH ?")
        .all(matchExpression([[{ kind: "word", value: word }]], vault));
      found.set(
        word,
        rows.map((it) => order.indexOf(it["rowid"])),
      );
    }
    return { positions: (word: string) => found.get(word) ?? [] };
  }
});

describe("an error of SQLite", () => {
  const sqliteError = (errcode: number) => Object.assign(new Error("from SQLite"), { errcode });
  const kinds: [code: number, kind: string][] = [
    [13, "full"],
    [5, "busy"],
    [10 | (3 << 8), "fatal"],
    [11, "fatal"],
    [8, "fatal"],
    [1, "other"],
  ];
  for (const [code, kind] of kinds) {
    it(`with code ${code} is ${kind}, also when it comes from a thread`, () => {
      assert.equal(failureOf(sqliteError(code)), kind);
      assert.equal(toWireError(sqliteError(code)).kind, kind);
    });
  }

  it("reaches a caller as a full store, as one to try again, or as it is", () => {
    const told = (code: number) => fromWireError(toWireError(sqliteError(code)));
    assert.equal((told(13) as Error & { code?: string }).code, "storage_full");
    assert.equal((told(5) as Error & { code?: string }).code, "unavailable");
    assert.equal(told(1).message, "from SQLite");
  });

  it("means damage where the file is broken or no database, and never where it is no error of SQLite", () => {
    assert.deepEqual(
      [11, 26, 13].map((it) => isDamage(sqliteError(it))),
      [true, true, false],
    );
    assert.equal(isDamage("text"), false);
    assert.equal(failureOf(new Error("no code")), "other");
    assert.equal(toWireError("thrown text").message, "thrown text");
  });
});
