import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import { failureOf, fromWireError, isDamage, toWireError } from "../../src/stores/sqlite/failure.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { eventually } from "../support/eventually.ts";
import { ada, aPublication, bob, clockAt, temporaryFolder, testPolicy } from "../support/fixtures.ts";

function openStore(folder: string) {
  const options = { folder, clock: clockAt(), policy: testPolicy(), log: silentLog, retention_ms: 0 };
  return openSqliteStore(options);
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
