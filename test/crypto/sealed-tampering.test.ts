import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { SealedToAgents } from "../../src/contract/sealed.ts";
import {
  bobKeys,
  cleoKeys,
  encryptAnything,
  eveKeys,
  honest,
  openAs,
  recipient,
  refuses,
  sealForBob,
  signAnything,
} from "./sealed-scene.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const refusals = ["sealed_invalid", "key_unknown", "key_changed"] as const;

/** The text with one bit of one base64url character flipped. */
function flip(text: string, at: number, bit: number): string {
  const letter = alphabet.charAt(alphabet.indexOf(text.charAt(at)) ^ (1 << bit));
  return text.slice(0, at) + letter + text.slice(at + 1);
}

/** Every way to flip one bit of the text. */
function flips(text: string): string[] {
  return [...text].flatMap((_, at) => [0, 1, 2, 3, 4, 5].map((bit) => flip(text, at, bit)));
}

describe("a sealed message that was changed", () => {
  it("is refused for any flipped bit of nonce, tag, wrapped key and thumbprint", async () => {
    const sealed = await sealForBob();
    const [entry] = sealed.recipients;
    assert.ok(entry);
    const changed: SealedToAgents[] = [
      ...flips(sealed.iv).map((iv) => ({ ...sealed, iv })),
      ...flips(sealed.tag).map((tag) => ({ ...sealed, tag })),
      ...flips(entry.encrypted_key).map((it) => ({ ...sealed, recipients: [{ ...entry, encrypted_key: it }] })),
      ...flips(entry.header.kid).map((kid) => ({
        ...sealed,
        recipients: [{ ...entry, header: { ...entry.header, kid } }],
      })),
    ];
    for (const it of changed) await refuses(openAs(bobKeys, it), refusals);
  });

  it("is refused for any flipped bit of the ephemeral key, though X25519 ignores some", async () => {
    const recipients = [recipient("bob", bobKeys), recipient("cleo", cleoKeys)];
    const sealed = await sealForBob({ recipients });
    const [entry, other] = sealed.recipients;
    assert.ok(entry?.header.epk && other);
    const { epk } = entry.header;
    for (const x of flips(epk.x)) {
      const header = { ...entry.header, epk: { ...epk, x } };
      await refuses(openAs(bobKeys, { ...sealed, recipients: [{ ...entry, header }, other] }), "sealed_invalid");
    }
  });

  it("is refused for a flipped bit anywhere in header and ciphertext", async () => {
    const sealed = await sealForBob();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("protected" as const, "ciphertext" as const),
        fc.nat(),
        fc.nat({ max: 5 }),
        async (part, at, bit) => {
          const text = flip(sealed[part], at % sealed[part].length, bit);
          await refuses(openAs(bobKeys, { ...sealed, [part]: text }), refusals);
        },
      ),
      { numRuns: 400 },
    );
    for (const bit of [0, 1, 2, 3, 4, 5]) {
      const ciphertext = flip(sealed.ciphertext, sealed.ciphertext.length - 1, bit);
      await refuses(openAs(bobKeys, { ...sealed, ciphertext }), refusals);
    }
  });

  it("is refused for any flipped bit of what was signed, by whoever could decrypt and encrypt it again", async () => {
    const { header, payload } = await honest();
    const text = signAnything(header, payload);
    await openAs(bobKeys, await encryptAnything(text));
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat({ max: 5 }), async (at, bit) => {
        const changed = flip(text, at % text.length, bit);
        fc.pre(text.charAt(at % text.length) !== ".");
        await refuses(openAs(bobKeys, await encryptAnything(changed)), refusals);
      }),
      { numRuns: 300 },
    );
    for (const end of flips(text.slice(-1))) {
      await refuses(openAs(bobKeys, await encryptAnything(text.slice(0, -1) + end)), refusals);
    }
  });

  it("is refused where a recipient was added, removed, or another's thumbprint changed", async () => {
    const both = await sealForBob({ recipients: [recipient("bob", bobKeys), recipient("cleo", cleoKeys)] });
    const [mine, other] = both.recipients;
    assert.ok(mine && other);
    const stranger = { ...other, header: { ...other.header, kid: eveKeys.encryption.kid } };
    for (const recipients of [[mine], [mine, stranger], [mine, other, stranger], [mine, mine, other]]) {
      await refuses(openAs(bobKeys, { ...both, recipients }), "sealed_invalid", /other readers/);
    }
  });

  it("is refused by the one recipient whose wrapped key was changed, and opens for the other", async () => {
    const both = await sealForBob({ recipients: [recipient("bob", bobKeys), recipient("cleo", cleoKeys)] });
    const [mine, other] = both.recipients;
    assert.ok(mine && other);
    const changed = { ...both, recipients: [mine, { ...other, encrypted_key: flip(other.encrypted_key, 3, 2) }] };
    await openAs(bobKeys, changed);
    await refuses(openAs(cleoKeys, changed), "sealed_invalid", /changed on its way/);
  });

  it("is refused for a field too many, wherever", async () => {
    const sealed = await sealForBob();
    const [entry] = sealed.recipients;
    assert.ok(entry);
    const more = [
      { ...sealed, unprotected: { alg: "dir" } },
      { ...sealed, aad: "AAAA" },
      { ...sealed, recipients: [{ ...entry, header: { ...entry.header, apu: "AAAA" } }] },
      { ...sealed, recipients: [{ ...entry, header: { ...entry.header, zip: "DEF" } }] },
    ];
    for (const it of more) await refuses(openAs(bobKeys, it), "sealed_invalid", /one form allowed/);
  });

  it("is refused, whatever is given instead of it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything(), (it) => refuses(openAs(bobKeys, it), "sealed_invalid")),
      { numRuns: 200 },
    );
    const sealed = await sealForBob();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("protected", "iv", "ciphertext", "tag", "recipients"),
        fc.anything(),
        (name, it) => refuses(openAs(bobKeys, { ...sealed, [name]: it }), "sealed_invalid"),
      ),
      { numRuns: 200 },
    );
  });
});
