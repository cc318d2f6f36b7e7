import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { RandomBytes } from "../../src/base/uuid.ts";
import { hashToken, makeToken, parseToken, sameHash, type TokenKind } from "../../src/crypto/tokens.ts";

const chance: RandomBytes = (bytes) => crypto.getRandomValues(bytes);
const kinds: readonly TokenKind[] = ["agent", "observe", "operate", "admin"];
const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** "Random" bytes as given, from the first call to the last. */
function fixed(given: Uint8Array): RandomBytes {
  let used = 0;
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = given[used++] ?? 0;
  };
}

describe("a token", () => {
  it("has the shape that secret scanners look for", () => {
    assert.match(makeToken("admin", chance).text, /^hvp_admin_[0-9A-Za-z]{11}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
  });

  it("is read back as it was made, whatever its bytes", () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.uint8Array({ minLength: 40, maxLength: 40 }), (kind, bytes) => {
        const token = makeToken(kind, fixed(bytes));
        assert.deepEqual(parseToken(token.text), token);
      }),
    );
  });

  it("holds every bit of its secret", () => {
    const none = makeToken("admin", fixed(new Uint8Array(40))).text;
    const all = makeToken("admin", fixed(new Uint8Array(40).fill(255))).text;
    // The least and the greatest 256-bit number in base 62, the latter worked out by hand.
    assert.equal(none.split("_")[3], "0".repeat(43));
    assert.equal(BigInt(2 ** 128) ** 2n - 1n, fromBase62(all.split("_")[3] ?? ""));
  });

  it("is told from a damaged one: any other character in any place", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (place, choice) => {
        const { text } = makeToken("operate", chance);
        const at = place % text.length;
        const other = letters.charAt(choice % letters.length);
        fc.pre(other !== text[at]);
        assert.equal(parseToken(text.slice(0, at) + other + text.slice(at + 1)), undefined);
      }),
    );
  });

  it("is not found in what is none", () => {
    const { text } = makeToken("admin", chance);
    for (const other of ["", "hvp_", text.slice(0, -1), `${text} `, `${text}\n`, text.toUpperCase(), `x${text}`]) {
      assert.equal(parseToken(other), undefined, other);
    }
  });
});

describe("the hash of a token", () => {
  it("is its SHA-256", () => {
    const known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert.equal(Buffer.from(hashToken("abc")).toString("hex"), known);
  });

  it("equals itself and no other", () => {
    const one = hashToken("one");
    assert.deepEqual(
      [sameHash(one, hashToken("one")), sameHash(one, hashToken("two")), sameHash(one, one.subarray(1))],
      [true, false, false],
    );
  });
});

function fromBase62(text: string): bigint {
  return [...text].reduce((sum, digit) => sum * 62n + BigInt(letters.indexOf(digit)), 0n);
}
