import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { createFieldCipher, sealedEpoch } from "../../src/crypto/field-cipher.ts";
import type { KeyProvider } from "../../src/crypto/key-provider.ts";
import { type KeyRecords, type KeyRing, openKeyRing, sealsUntilRotation } from "../../src/crypto/key-ring.ts";
import { monday_ms } from "../support/fixtures.ts";
import { chance, counting, providerOf } from "./keys.ts";
import { memoryKeyRecords } from "./memory-key-records.ts";

const place = { message_id: "0191b8e0-0000-7000-8000-000000000001", field: "content" } as const;

type Changes = { readonly provider?: KeyProvider; readonly hive_id?: string; readonly randomBytes?: typeof chance };

function open(records: KeyRecords, changes: Changes = {}): Promise<KeyRing> {
  return openKeyRing({
    hive_id: "hive-1",
    records,
    provider: providerOf(1),
    now: () => monday_ms,
    randomBytes: chance,
    ...changes,
  });
}

function cipherOf(ring: KeyRing) {
  return createFieldCipher(ring.cipherKeys(), chance);
}

describe("the key ring of a new hive", () => {
  it("has one key for each purpose, wrapped by the provider", async () => {
    const records = memoryKeyRecords();
    const ring = await open(records);
    const { keys, ...rest } = await ring.status();
    assert.deepEqual(
      keys.map(({ key_id, ...it }) => it),
      ["content", "index"].map((purpose) => ({
        epoch: 1,
        purpose,
        provider: providerOf(1).id,
        seals: 0,
        created_at: "2026-01-05T09:00:00.000Z",
      })),
    );
    assert.deepEqual(rest, { provider: providerOf(1).id, epoch: 1, rotation_due: false });
    assert.equal(new Set(keys.map((it) => it.key_id)).size, 2);
    const { content, index } = ring.cipherKeys();
    assert.ok(!content[0]?.key.equals(index));
  });

  it("is the same when two processes open it at once", async () => {
    const records = memoryKeyRecords();
    const [one, two] = await Promise.all([open(records), open(records)]);
    assert.equal(cipherOf(two).open(place, cipherOf(one).seal(place, "hello")), "hello");
    assert.ok(one.cipherKeys().index.equals(two.cipherKeys().index));
  });

  it("is refused a hive id that would blur what keys are bound to", async () => {
    await assert.rejects(open(memoryKeyRecords(), { hive_id: "a|b" }), { name: "InvariantError" });
  });
});

describe("a key ring opened again", () => {
  it("opens what was sealed before, under every epoch", async () => {
    const records = memoryKeyRecords();
    const ring = await open(records);
    const sealed = [cipherOf(ring).seal(place, "text 1")];
    for (const epoch of [2, 3, 4]) {
      assert.equal(await ring.rotate(), epoch);
      sealed.push(cipherOf(ring).seal(place, `text ${epoch}`));
    }
    assert.deepEqual(sealed.map(sealedEpoch), [1, 2, 3, 4]);
    const again = await open(records);
    assert.deepEqual(
      sealed.map((it) => cipherOf(again).open(place, it)),
      ["text 1", "text 2", "text 3", "text 4"],
    );
    assert.equal((await again.status()).epoch, 4);
    assert.ok(again.cipherKeys().index.equals(ring.cipherKeys().index));
  });

  it("refuses another master key, naming where it comes from and the way out", async () => {
    const records = memoryKeyRecords();
    await open(records);
    await assert.rejects(open(records, { provider: providerOf(2) }), {
      code: "key_unavailable",
      message: /wrapped by master-[0-9a-f]{16}, but the key file \/keys\/2\.key is master-.*HIVEPOST_MASTER_KEY_FILE/,
    });
  });

  it("refuses the keys of another hive", async () => {
    const records = memoryKeyRecords();
    await open(records);
    await assert.rejects(open(records, { hive_id: "hive-2" }), { code: "key_unavailable" });
  });

  const spoilt: [what: string, spoil: (records: ReturnType<typeof memoryKeyRecords>) => Promise<KeyRecords>][] = [
    ["a key under another epoch", (records) => changed(records, (it) => ({ ...it, epoch: it.epoch + 1 }))],
    [
      "a key of another purpose",
      (records) => changed(records, ({ purpose, ...it }) => ({ ...it, purpose: swapped[purpose] })),
    ],
    ["a damaged key", (records) => changed(records, (it) => ({ ...it, wrapped: it.wrapped.replace(/^..../, "AAAA") }))],
    ["no content key", (records) => without(records, "content")],
    ["no index key", (records) => without(records, "index")],
  ];
  for (const [what, spoil] of spoilt) {
    it(`refuses records with ${what}`, async () => {
      const records = memoryKeyRecords();
      await open(records);
      await assert.rejects(open(await spoil(records)), { code: "key_unavailable" });
    });
  }

  it("refuses a data key that is no AES-256 key", async () => {
    const records = memoryKeyRecords();
    await open(records);
    const short: KeyProvider = { ...providerOf(1), unwrap: async () => new Uint8Array(16) };
    await assert.rejects(open(records, { provider: short }), { code: "key_unavailable", message: /16 bytes, not 32/ });
  });
});

describe("rotating", () => {
  it("gives the later of two processes the epoch that the other has made", async () => {
    const records = memoryKeyRecords();
    const [one, two] = [await open(records), await open(records)];
    assert.deepEqual([await one.rotate(), await two.rotate()], [2, 2]);
    assert.equal(cipherOf(two).open(place, cipherOf(one).seal(place, "hello")), "hello");
  });

  it("takes its turn: rotations at the same time make an epoch each", async () => {
    const ring = await open(memoryKeyRecords());
    assert.deepEqual(await Promise.all([ring.rotate(), ring.rotate(), ring.rotate()]), [2, 3, 4]);
  });

  it("leaves things as they are where the record cannot be kept, and works the next time", async () => {
    const records = memoryKeyRecords();
    let full = true;
    const add: KeyRecords["add"] = async (more) => {
      if (full && more[0]?.epoch === 2) throw new Error("disk full");
      return records.add(more);
    };
    const ring = await open({ ...records, add });
    await assert.rejects(ring.rotate(), /disk full/);
    assert.equal((await ring.status()).epoch, 1);
    full = false;
    assert.equal(await ring.rotate(), 2);
  });
});

describe("rewrapping", () => {
  it("leaves what is sealed readable, under the new master key and no longer under the old", async () => {
    const records = memoryKeyRecords();
    const ring = await open(records);
    const old = cipherOf(ring).seal(place, "old");
    await ring.rotate();
    await ring.rewrap(providerOf(2));
    assert.equal((await ring.status()).provider, providerOf(2).id);
    assert.equal(await ring.rotate(), 3);
    assert.deepEqual([...new Set(records.stored().map((it) => it.provider))], [providerOf(2).id]);
    const again = await open(records, { provider: providerOf(2) });
    assert.equal(cipherOf(again).open(place, old), "old");
    await assert.rejects(open(records), { code: "key_unavailable" });
  });

  it("changes nothing where the new provider does not give back what it wraps", async () => {
    const records = memoryKeyRecords();
    const ring = await open(records);
    const before = records.stored();
    const forgetful: KeyProvider = { ...providerOf(2), unwrap: async () => new Uint8Array(32) };
    await assert.rejects(ring.rewrap(forgetful), { code: "key_unavailable", message: /nothing was changed/ });
    assert.deepEqual(records.stored(), before);
    assert.equal((await ring.status()).provider, providerOf(1).id);
  });

  it("keeps ids, epochs and dates", async () => {
    const records = memoryKeyRecords();
    const ring = await open(records);
    const named = () => records.stored().map(({ wrapped, provider, ...it }) => it);
    const before = named();
    await ring.rewrap(providerOf(2));
    assert.deepEqual(named(), before);
  });
});

describe("the seals of an epoch", () => {
  it("make a rotation due in good time, which starts from zero", async () => {
    const records = memoryKeyRecords();
    const ring = await open(records);
    const key_id = ring.cipherKeys().content[0]?.key_id ?? "";
    records.setSeals(key_id, sealsUntilRotation - 1);
    assert.equal((await ring.status()).rotation_due, false);
    records.setSeals(key_id, sealsUntilRotation);
    assert.equal((await ring.status()).rotation_due, true);
    await ring.rotate();
    assert.equal((await ring.status()).rotation_due, false);
  });
});

describe("the bytes of a key", () => {
  it("show neither in logs nor in JSON, nor in what is stored", async () => {
    const records = memoryKeyRecords();
    const ring = await open(records, { randomBytes: counting() });
    const secrets = [...ring.cipherKeys().content.map((it) => it.key), ring.cipherKeys().index];
    const values = [ring, ring.cipherKeys(), await ring.status(), records.stored(), providerOf(1)];
    const shown = values.map((it) => inspect(it, { depth: 9, showHidden: true }) + JSON.stringify(it)).join("\n");
    for (const secret of secrets) {
      const bytes = secret.export();
      for (const spelling of [bytes.toString("hex"), bytes.toString("base64"), [...bytes.subarray(0, 6)].join(", ")]) {
        assert.ok(!shown.includes(spelling.slice(0, 16)));
      }
    }
  });
});

const swapped = { content: "index", index: "content" } as const;

async function changed(
  records: ReturnType<typeof memoryKeyRecords>,
  change: (record: Awaited<ReturnType<KeyRecords["load"]>>[number]) => unknown,
): Promise<KeyRecords> {
  const stored = records.stored().map(change) as Awaited<ReturnType<KeyRecords["load"]>>;
  return { ...records, load: async () => stored };
}

async function without(records: ReturnType<typeof memoryKeyRecords>, purpose: string): Promise<KeyRecords> {
  return { ...records, load: async () => records.stored().filter((it) => it.purpose !== purpose) };
}
