import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KeyRecords, WrappedKey } from "../../src/crypto/key-ring.ts";

const content: WrappedKey = {
  epoch: 1,
  key_id: "00000000000000a1",
  purpose: "content",
  wrapped: "AQID",
  provider: "master-1",
  created_at: "2026-01-05T09:00:00.000Z",
};
const index: WrappedKey = { ...content, key_id: "00000000000000b1", purpose: "index" };
const second: WrappedKey = { ...content, key_id: "00000000000000a2", epoch: 2 };

/** What the key ring relies on, whoever keeps its records. */
export function describeKeyRecords(name: string, open: () => Promise<KeyRecords>): void {
  describe(`key records (${name})`, () => {
    it("are given back as they were added", async () => {
      const records = await open();
      assert.deepEqual(await records.load(), []);
      assert.equal(await records.add([content, index]), true);
      assert.equal(await records.add([second]), true);
      assert.deepEqual(sorted(await records.load()), sorted([content, index, second]));
    });

    it("hold one key of a purpose and epoch, and add all or none", async () => {
      const records = await open();
      await records.add([content]);
      const other = { ...content, key_id: "00000000000000ff" };
      assert.equal(await records.add([second, other]), false);
      assert.deepEqual(await records.load(), [content]);
    });

    it("are replaced by key id, the others left as they are", async () => {
      const records = await open();
      await records.add([content, index, second]);
      const rewrapped = [content, second].map((it) => ({ ...it, wrapped: "BAUG", provider: "master-2" }));
      await records.replaceAll(rewrapped);
      assert.deepEqual(sorted(await records.load()), sorted([...rewrapped, index]));
    });

    it("count the seals of each key", async () => {
      const records = await open();
      await records.add([content, second]);
      const totals = [
        await records.reserveSeals(content.key_id, 0),
        await records.reserveSeals(content.key_id, 2 ** 31),
        await records.reserveSeals(content.key_id, 5),
        await records.reserveSeals(second.key_id, 1),
      ];
      assert.deepEqual(totals, [0, 2 ** 31, 2 ** 31 + 5, 1]);
    });

    it("lose no seal that others reserve at the same time", async () => {
      const records = await open();
      await records.add([content]);
      const totals = await Promise.all(Array.from({ length: 20 }, () => records.reserveSeals(content.key_id, 10)));
      assert.deepEqual(
        totals.sort((a, b) => a - b),
        Array.from({ length: 20 }, (_, i) => 10 * (i + 1)),
      );
    });
  });
}

function sorted(records: readonly WrappedKey[]): WrappedKey[] {
  return records.toSorted((a, b) => a.key_id.localeCompare(b.key_id));
}
