import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { masterKeyProvider } from "../../src/crypto/key-provider.ts";
import { chance, keyOf, providerOf } from "./keys.ts";

const dataKey = Uint8Array.from({ length: 32 }, (_, i) => i);
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("a master key provider", () => {
  it("gives back what it has wrapped, for the same context", async () => {
    await fc.assert(
      fc.asyncProperty(bytes32, bytes32, fc.string(), async (master, key, context) => {
        const provider = masterKeyProvider({ key: createSecretKey(master), source: "a key" }, chance);
        assert.deepEqual(new Uint8Array(await provider.unwrap(await provider.wrap(key, context), context)), key);
      }),
    );
  });

  it("wraps the same key differently each time", async () => {
    const provider = providerOf(1);
    const [one, two] = [await provider.wrap(dataKey, "for"), await provider.wrap(dataKey, "for")];
    assert.notDeepEqual(one, two);
  });

  it("refuses any single flipped bit", async () => {
    const provider = providerOf(1);
    const wrapped = await provider.wrap(dataKey, "for");
    for (let bit = 0; bit < wrapped.length * 8; bit++) {
      const flipped = wrapped.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await assert.rejects(provider.unwrap(flipped, "for"), { code: "key_unavailable" }, `bit ${bit}`);
    }
  });

  it("refuses what is too short or too long, at any length", async () => {
    const provider = providerOf(1);
    const wrapped = await provider.wrap(dataKey, "for");
    for (let length = 0; length < wrapped.length; length++) {
      await assert.rejects(provider.unwrap(wrapped.subarray(0, length), "for"), { code: "key_unavailable" });
    }
    await assert.rejects(provider.unwrap(Uint8Array.from([...wrapped, 0]), "for"), { code: "key_unavailable" });
  });

  it("refuses another context, and what another key has wrapped, naming where its own key comes from", async () => {
    const wrapped = await providerOf(1).wrap(dataKey, "for");
    await assert.rejects(providerOf(1).unwrap(wrapped, "For"), { code: "key_unavailable" });
    await assert.rejects(providerOf(2).unwrap(wrapped, "for"), { code: "key_unavailable", message: /\/keys\/2\.key/ });
  });

  it("has an id that tells keys apart, stays the same, and shows nothing of the key", () => {
    const ids = [1, 2, 1].map((byte) => providerOf(byte).id);
    assert.equal(ids[0], ids[2]);
    assert.notEqual(ids[0], ids[1]);
    assert.match(ids[0] ?? "", /^master-[0-9a-f]{16}$/);
    assert.ok(!ids[0]?.includes("0101"));
  });

  it("does not show its key in logs, JSON or errors", async () => {
    const provider = masterKeyProvider({ key: keyOf(0xab), source: "a key" }, chance);
    const error = await provider.unwrap(new Uint8Array(61), "for").catch((it: Error) => it);
    const shown = [inspect(provider, { depth: 9, showHidden: true }), JSON.stringify(provider), inspect(error)].join();
    assert.doesNotMatch(shown, /abab|q6ur|171, ?171/i);
  });
});
