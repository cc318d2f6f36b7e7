import assert from "node:assert/strict";
import { it } from "node:test";
import type { Store } from "../../src/app/ports.ts";
import type { CipherKeys, WrappedKey } from "../../src/crypto/key-ring.ts";
import { keyOf } from "../crypto/keys.ts";
import { ada, bob } from "../support/fixtures.ts";
import { contents, type OpenStore, openFor } from "./opened.ts";

const content: WrappedKey = {
  epoch: 11,
  key_id: "00000000000000a1",
  purpose: "content",
  wrapped: "AQID",
  provider: "master-1",
  created_at: "2026-01-05T09:00:00.000Z",
};
const index: WrappedKey = { ...content, key_id: "00000000000000b1", purpose: "index" };
const second: WrappedKey = { ...content, key_id: "00000000000000a2", epoch: 12 };

/** What the key ring relies on, and what becomes of messages under keys that change. */
export function keysContract(open: OpenStore): void {
  it("gives key records back as they were added", async () => {
    await using opened = await openFor(open);
    const { records } = opened.store.keys;
    const before = await records.load();
    assert.equal(await records.add([content, index]), true);
    assert.equal(await records.add([second]), true);
    assert.deepEqual(await added(opened.store, before), [content, second, index]);
  });

  it("holds one key of a purpose and epoch, and adds all or none", async () => {
    await using opened = await openFor(open);
    const { records } = opened.store.keys;
    const before = await records.load();
    await records.add([content]);
    assert.equal(await records.add([second, { ...content, key_id: "00000000000000ff" }]), false);
    assert.deepEqual(await added(opened.store, before), [content]);
  });

  it("replaces keys by their id, and leaves the others as they are", async () => {
    await using opened = await openFor(open);
    const { records } = opened.store.keys;
    const before = await records.load();
    await records.add([content, index, second]);
    const rewrapped = [content, second].map((it) => ({ ...it, wrapped: "BAUG", provider: "master-2" }));
    await records.replaceAll(rewrapped);
    assert.deepEqual(await added(opened.store, before), [...rewrapped, index]);
  });

  it("finds and hands out messages of every epoch, before they are sealed anew and after", async () => {
    await using opened = await openFor(open);
    const { store, send, claim } = opened;
    const keys: CipherKeys = { hive_id: store.keys.hive_id, content: [epoch(1)], index: keyOf(9) };
    const said: string[] = [];
    for (const newest of [1, 2, 3]) {
      await store.keys.use({ ...keys, content: [1, 2, 3].slice(0, newest).map(epoch) });
      for (const word of ["red", "green"]) {
        said.push(`${word} ${newest}`);
        await send({ from_agent: ada, to_agent: bob, content: `${word} ${newest}`, metadata: { epoch: newest } });
      }
    }
    const whole = async () => {
      const everything = await store.history.search({ order: "oldest", limit: 100 });
      const red = await store.history.search({ words: ["red"], order: "oldest", limit: 100 });
      const third = await store.history.search({ metadata: { epoch: "3" }, order: "oldest", limit: 100 });
      return [contents(everything.rows), contents(red.rows), contents(third.rows)];
    };
    const expected = [said, ["red 1", "red 2", "red 3"], ["red 3", "green 3"]];
    assert.deepEqual(await whole(), expected);
    while (!(await store.keys.reencrypt(2)).done) assert.equal(typeof (await store.keys.isReencrypting()), "boolean");
    assert.equal(await store.keys.isReencrypting(), false);
    assert.deepEqual(await whole(), expected);
    assert.deepEqual(contents(await claim(bob)), said);
  });
}

function epoch(number: number) {
  return { epoch: number, key_id: `00000000000000e${number}`, key: keyOf(number) };
}

async function added(store: Store, before: readonly { key_id: string }[]): Promise<WrappedKey[]> {
  const known = new Set(before.map((it) => it.key_id));
  const records = (await store.keys.records.load()).filter((it) => !known.has(it.key_id));
  return records
    .map(({ seals: _, ...it }) => it)
    .sort((a, b) => a.purpose.localeCompare(b.purpose) || a.epoch - b.epoch);
}
