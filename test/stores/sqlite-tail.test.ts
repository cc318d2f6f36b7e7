import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import type { Store } from "../../src/app/ports.ts";
import { silentLog } from "../../src/base/log.ts";
import { openConnection } from "../../src/stores/sqlite/connection.ts";
import { createTail } from "../../src/stores/sqlite/tail.ts";
import { ada, aPublication, bob, clockAt, monday_ms, temporaryFolder, testPolicy } from "../support/fixtures.ts";
import { openUnlockedStore, vaultOf } from "../support/unlocked.ts";

describe("what is newer than the index", () => {
  it("is read once, found by what was asked, and forgotten once it is indexed", async () => {
    await using opened = await open();
    const { store, tail } = opened;
    const [red, green] = [await arrive(store, "red"), await arrive(store, "green")];
    assert.equal(tail.update(0), 2);
    assert.deepEqual(foundIn(tail), ["red", "green"]);
    assert.deepEqual(tail.find(({ text }) => text().content === "green").length, 1);
    const blue = await arrive(store, "blue");
    assert.equal(tail.update(red), 2);
    assert.deepEqual(foundIn(tail), ["green", "blue"]);
    assert.equal(tail.update(green), 1);
    assert.equal(tail.update(blue), 0);
    assert.deepEqual(foundIn(tail), []);
    assert.ok(tail.isKept());
  });

  it("is read again where the index knows less than it did, and not at all where it knows more than was read", async () => {
    await using opened = await open();
    const { store, tail } = opened;
    await arrive(store, "red");
    const green = await arrive(store, "green");
    assert.equal(tail.update(green), 0);
    assert.equal(tail.update(0), 2);
    const blue = await arrive(store, "blue");
    assert.equal(tail.update(blue), 0);
    assert.equal(tail.update(0), 3);
    assert.deepEqual(foundIn(tail), ["red", "green", "blue"]);
  });

  it("is not kept where it is long: then everything in it may fit", async () => {
    await using opened = await open();
    const { store, tail } = opened;
    const many = Array.from({ length: 5_001 }, () => ({ ...aPublication(), timestamp_ms: monday_ms }));
    await store.history.import(many);
    assert.equal(tail.update(0), 5_001);
    assert.equal(tail.find(() => false).length, 5_001);
    assert.ok(!tail.isKept());
    await arrive(store, "red");
    const last = await store.events.head();
    assert.equal(tail.update(last), 0);
    await arrive(store, "green");
    assert.equal(tail.update(last), 1);
    assert.deepEqual(foundIn(tail), ["green"]);
    assert.ok(tail.isKept());
  });

  it("keeps no more text than it may", async () => {
    await using opened = await open();
    const { store, tail } = opened;
    const large = "x".repeat(3 * 1024 * 1024);
    for (const end of ["1", "2", "3", "4"]) await arrive(store, `${large}${end}`);
    assert.equal(tail.update(0), 4);
    assert.equal(tail.find(() => false).length, 1);
    assert.ok(!tail.isKept());
  });
});

/** A store, and a tail that reads the same file. */
async function open() {
  const folder = await temporaryFolder();
  const options = { folder: folder.path, clock: clockAt(), policy: testPolicy(), log: silentLog, retention_ms: 0 };
  const store = await openUnlockedStore(options);
  const db = openConnection(path.join(folder.path, "hivepost.db"), "reader");
  return {
    store,
    tail: createTail(db, await vaultOf(store)),
    async [Symbol.asyncDispose]() {
      db.close();
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** @returns The latest event after it. */
async function arrive(store: Store, content: string): Promise<number> {
  await store.deliveries.publish([aPublication({ from_agent: ada, to_agent: bob, content })]);
  return await store.events.head();
}

function foundIn(tail: ReturnType<typeof createTail>): string[] {
  const contents: string[] = [];
  tail.find(({ text }) => contents.push(text().content) > 0);
  return contents;
}
