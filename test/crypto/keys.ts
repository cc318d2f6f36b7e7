import { createSecretKey } from "node:crypto";
import type { RandomBytes } from "../../src/base/uuid.ts";
import { type KeyProvider, masterKeyProvider } from "../../src/crypto/key-provider.ts";
import type { CipherKeys } from "../../src/crypto/key-ring.ts";

export const chance: RandomBytes = (bytes) => crypto.getRandomValues(bytes);

/** "Random" bytes that count up from 0, call after call. */
export function counting(): RandomBytes {
  let next = 0;
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next++;
  };
}

/** A key of 32 equal bytes. */
export function keyOf(byte: number) {
  return createSecretKey(new Uint8Array(32).fill(byte));
}

/** Wraps with a master key of 32 equal bytes. */
export function providerOf(byte: number): KeyProvider {
  return masterKeyProvider({ key: keyOf(byte), source: `the key file /keys/${byte}.key` }, chance);
}

/** Keys of a hive with so many epochs. */
export function cipherKeys(epochs: number, hive_id = "hive-1"): CipherKeys {
  const content = Array.from({ length: epochs }, (_, i) => ({
    epoch: i + 1,
    key_id: `00000000000000a${i + 1}`,
    key: keyOf(i + 1),
  }));
  return { hive_id, content, index: keyOf(200) };
}
