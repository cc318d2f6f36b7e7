import assert from "node:assert/strict";
import { createCipheriv, createHmac, createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { createBlindIndex } from "../../src/crypto/blind-index.ts";
import { createFieldCipher, type SealedPlace } from "../../src/crypto/field-cipher.ts";
import { masterKeyProvider } from "../../src/crypto/key-provider.ts";
import { chance } from "./keys.ts";

type Vectors = {
  readonly hive_id: string;
  readonly content_keys: readonly { readonly epoch: number; readonly key_id: string; readonly key: string }[];
  readonly fields: readonly (SealedPlace & {
    readonly epoch: number;
    readonly nonce: string;
    readonly additional: string;
    readonly text: string;
    readonly sealed: string;
  })[];
  readonly master_key: { readonly key: string; readonly id: string };
  readonly wrapped_keys: readonly {
    readonly context: string;
    readonly nonce: string;
    readonly key: string;
    readonly wrapped: string;
  }[];
  readonly index_key: string;
  readonly terms: readonly { readonly kind: string; readonly value: string; readonly term: string }[];
};

const vectors = JSON.parse(readFileSync(new URL("../vectors/at-rest.json", import.meta.url), "utf8")) as Vectors;
const bytes = (hex: string) => Buffer.from(hex, "hex");
const toHex = (it: Uint8Array) => Buffer.from(it).toString("hex");
const secret = (hex: string) => createSecretKey(bytes(hex));
const content = vectors.content_keys.map((it) => ({ ...it, key: secret(it.key) }));
const index = secret(vectors.index_key);

/** AES-256-GCM by Node alone, with nothing of ours. */
function gcm(key: string, nonce: string, additional: string, plain: Uint8Array): string {
  const cipher = createCipheriv("aes-256-gcm", bytes(key), bytes(nonce)).setAAD(Buffer.from(additional));
  return toHex(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]));
}

describe("the test vectors of encryption at rest", () => {
  for (const { epoch, nonce, additional, text, sealed, ...place } of vectors.fields) {
    it(`are sealed and opened as they say: ${place.field} ${JSON.stringify(text)} under epoch ${epoch}`, () => {
      const keys = { hive_id: vectors.hive_id, content: content.filter((it) => it.epoch === epoch), index };
      const cipher = createFieldCipher(keys, (drawn) => drawn.set(bytes(nonce)));
      assert.equal(toHex(cipher.seal(place, text)), sealed);
      const all = createFieldCipher({ ...keys, content }, chance);
      assert.equal(all.open(place, bytes(sealed)), text);
    });

    it(`follow from the description alone: ${place.field} ${JSON.stringify(text)} under epoch ${epoch}`, () => {
      const { key = "" } = vectors.content_keys.find((it) => it.epoch === epoch) ?? {};
      const header = `01${epoch.toString(16).padStart(8, "0")}${nonce}`;
      assert.equal(sealed, header + gcm(key, nonce, additional, Buffer.from(text)));
    });
  }

  for (const { context, nonce, key, wrapped } of vectors.wrapped_keys) {
    it(`are wrapped and unwrapped as they say: ${context}`, async () => {
      const master = { key: secret(vectors.master_key.key), source: "the vectors" };
      const provider = masterKeyProvider(master, (drawn) => drawn.set(bytes(nonce)));
      assert.equal(provider.id, vectors.master_key.id);
      assert.equal(toHex(await provider.wrap(bytes(key), context)), wrapped);
      assert.equal(toHex(await provider.unwrap(bytes(wrapped), context)), key);
      assert.equal(wrapped, `01${nonce}${gcm(vectors.master_key.key, nonce, context, bytes(key))}`);
    });
  }

  for (const { kind, value, term } of vectors.terms) {
    it(`are the terms that they say: ${kind} ${value}`, () => {
      assert.equal(createBlindIndex(index).term(kind, value), term);
      const hash = createHmac("sha256", index).update(`${kind.length}|${kind}|${value}`).digest("hex");
      assert.equal(
        BigInt(`0x${hash.slice(0, 10)}`)
          .toString(32)
          .padStart(8, "0"),
        term,
      );
    });
  }
});
