import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { createFieldCipher, type SealedPlace, sealedEpoch } from "../../src/crypto/field-cipher.ts";
import { chance, cipherKeys, counting } from "./keys.ts";

const place: SealedPlace = { message_id: "0191b8e0-0000-7000-8000-000000000001", field: "content" };
const damaged = {
  name: "BusError",
  code: "content_damaged",
  message: new RegExp(`the content of message ${place.message_id} `),
};
const text = fc.string({ unit: "binary", maxLength: 200 });
const cipher = createFieldCipher(cipherKeys(1), chance);

describe("a field cipher", () => {
  it("opens what it has sealed, whatever the text", () => {
    fc.assert(
      fc.property(text, (it) => {
        const sealed = cipher.seal(place, it);
        assert.equal(cipher.open(place, sealed), it);
        assert.equal(sealed.length, 33 + Buffer.byteLength(it));
      }),
    );
    for (const it of ["", "\0", "\ufeffmark", "ａ😀\u{10ffff}", "x".repeat(300_000)]) {
      assert.equal(cipher.open(place, cipher.seal(place, it)), it);
    }
  });

  it("refuses half of a surrogate pair, which would come back as another character", () => {
    for (const it of ["\ud800", "a\udc00b", "\udc00\ud800"]) {
      assert.throws(() => cipher.seal(place, it), { code: "invalid_input", message: /surrogate/ });
    }
  });

  it("lets nothing of the text be seen in what it has sealed", () => {
    const sealed = Buffer.from(cipher.seal(place, "attack at dawn, attack at dawn"));
    assert.ok(!sealed.includes("attack") && !sealed.includes("dawn"));
    assert.notDeepEqual(cipher.seal(place, "attack"), cipher.seal(place, "attack"));
  });

  it("gives bytes that share their buffer with nothing else", () => {
    const sealed = cipher.seal(place, "short");
    assert.equal(sealed.buffer.byteLength, sealed.length);
  });

  it("refuses any single flipped bit, wherever it is", () => {
    fc.assert(
      fc.property(text, fc.nat(), (it, chosen) => {
        const sealed = cipher.seal(place, it);
        const bit = chosen % (sealed.length * 8);
        sealed[bit >> 3] = (sealed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.throws(() => cipher.open(place, sealed), {
          name: "BusError",
          code: /^(content_damaged|key_unavailable)$/,
        });
      }),
      { numRuns: 500 },
    );
  });

  it("refuses each flipped bit of a short one", () => {
    const sealed = cipher.seal(place, "yes");
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = sealed.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A flipped bit of the epoch names a key that is not there.
      const code = bit >= 8 && bit < 40 ? "key_unavailable" : "content_damaged";
      assert.throws(() => cipher.open(place, flipped), { code }, `bit ${bit}`);
    }
  });

  it("refuses what was cut off at any length, at either end, or made longer", () => {
    const sealed = cipher.seal(place, "yes, please");
    for (let length = 0; length < sealed.length; length++) {
      assert.throws(() => cipher.open(place, sealed.subarray(0, length)), damaged, `${length} bytes`);
      assert.throws(() => cipher.open(place, sealed.subarray(sealed.length - length)), { name: "BusError" });
    }
    for (const more of [[0], Array.from(sealed)]) {
      assert.throws(() => cipher.open(place, Uint8Array.from([...sealed, ...more])), damaged);
    }
  });

  it("refuses what was sealed for another message, field or hive", () => {
    const sealed = cipher.seal(place, "yes");
    const other = { ...place, message_id: "0191b8e0-0000-7000-8000-000000000002" };
    assert.throws(() => cipher.open(other, sealed), { code: "content_damaged", message: /message 0191b8e0.*2 / });
    assert.throws(() => cipher.open({ ...place, field: "metadata" }, sealed), { code: "content_damaged" });
    const elsewhere = createFieldCipher(cipherKeys(1, "hive-2"), chance);
    assert.throws(() => elsewhere.open(place, sealed), damaged);
  });

  it("refuses what is said to be of another epoch, and the same key under another id", () => {
    const two = createFieldCipher(cipherKeys(2), chance);
    const sealed = two.seal(place, "yes");
    sealed[4] = 1;
    assert.throws(() => two.open(place, sealed), damaged);
    const keys = cipherKeys(1);
    const renamed = { ...keys, content: keys.content.map((it) => ({ ...it, key_id: "00000000000000ff" })) };
    assert.throws(() => createFieldCipher(renamed, chance).open(place, cipher.seal(place, "yes")), damaged);
  });

  it("seals under the newest epoch, in whatever order the keys come, and opens older ones", () => {
    const keys = cipherKeys(3);
    const three = createFieldCipher({ ...keys, content: keys.content.toReversed() }, chance);
    const sealed = three.seal(place, "new");
    assert.deepEqual([sealedEpoch(sealed), three.open(place, sealed)], [3, "new"]);
    assert.equal(three.open(place, cipher.seal(place, "old")), "old");
  });

  it("names the epoch whose key is not there, and what to do", () => {
    const sealed = createFieldCipher(cipherKeys(2), chance).seal(place, "yes");
    assert.throws(() => cipher.open(place, sealed), {
      code: "key_unavailable",
      message: /content of message .* epoch 2, .* restore the keys from a backup/,
    });
  });

  it("says nothing of content or keys in its errors", () => {
    const sealed = cipher.seal(place, "attack at dawn");
    sealed[20] = (sealed[20] ?? 0) ^ 1;
    assert.throws(
      () => cipher.open(place, sealed),
      (error) => !/attack|dawn|0101|AQEB/.test(inspect(error, { depth: 9, showHidden: true })),
    );
  });

  it("opens bytes that lie anywhere in a larger buffer", () => {
    const larger = new Uint8Array(100);
    const sealed = cipher.seal(place, "yes");
    larger.set(sealed, 13);
    assert.equal(cipher.open(place, larger.subarray(13, 13 + sealed.length)), "yes");
  });
});

describe("a nonce", () => {
  const nonceOf = (sealed: Uint8Array) => Buffer.from(sealed.subarray(5, 17)).toString("latin1");

  it("is never used twice over many seals and restarts", () => {
    const nonces = new Set<string>();
    for (let restart = 0; restart < 50; restart++) {
      const restarted = createFieldCipher(cipherKeys(1), chance);
      for (let i = 0; i < 1_100; i++) nonces.add(nonceOf(restarted.seal(place, "")));
    }
    assert.equal(nonces.size, 50 * 1_100);
  });

  it("takes every byte of chance once, and none before it is drawn", () => {
    const sealing = createFieldCipher(cipherKeys(1), counting());
    const used = Buffer.concat(Array.from({ length: 1_500 }, () => sealing.seal(place, "").subarray(5, 17)));
    assert.deepEqual(used, Buffer.from(Uint8Array.from({ length: used.length }, (_, i) => i)));
  });

  it("is not made of what an earlier draw has left when drawing fails", () => {
    let calls = 0;
    const failing = createFieldCipher(cipherKeys(1), (bytes) => {
      if (++calls === 2) throw new Error("no entropy");
      chance(bytes as Uint8Array<ArrayBuffer>);
    });
    const nonces = new Set(Array.from({ length: 512 }, () => nonceOf(failing.seal(place, ""))));
    assert.throws(() => failing.seal(place, ""), /no entropy/);
    for (let i = 0; i < 512; i++) nonces.add(nonceOf(failing.seal(place, "")));
    assert.deepEqual([nonces.size, calls], [1_024, 3]);
  });

  it("is never used twice by two threads, which open what the other has sealed", async () => {
    const keys = cipherKeys(1);
    const sealedBy = await Promise.all([1, 2].map(() => sealInThread({ keys, place, texts: 1_000 })));
    const all = sealedBy.flat();
    assert.equal(new Set(all.map(nonceOf)).size, 2_000);
    assert.deepEqual(
      all.map((it) => cipher.open(place, it)),
      sealedBy.flatMap((some) => some.map((_, i) => `text ${i}`)),
    );
  });
});

function sealInThread(workerData: unknown): Promise<Uint8Array[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array[]>();
  const worker = new Worker(new URL("./sealing-worker.ts", import.meta.url), { workerData });
  worker.once("message", resolve);
  worker.once("error", reject);
  return promise;
}
