import { createHmac } from "node:crypto";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { nonceBytes, openBytes, sealBytes } from "./aes-gcm.ts";
import type { MasterKey } from "./master-key.ts";

/** Guards data keys with a key that it does not give away: the master key in this process, or a key management service. */
export type KeyProvider = {
  /** Names the guarding key, and reveals nothing about it. Another key has another id. */
  readonly id: string;
  /** What people call it, for messages: "the key file /home/ada/.config/hivepost/….key". */
  readonly source: string;
  /**
   * @param key A data key, 32 bytes.
   * @param context What the key is for; `unwrap` must be told the same.
   */
  wrap(key: Uint8Array, context: string): Promise<Uint8Array>;
  /**
   * @returns The data key; the caller may overwrite the bytes.
   * @throws BusError `key_unavailable` for what was wrapped by another key, for another context, or was damaged.
   */
  unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array>;
};

/*
 * A wrapped key: version (1 byte: 1) | nonce (12) | ciphertext (as long as the key) | tag (16); AES-256-GCM with the context,
 * in UTF-8, as additional data.
 */
const version = 1;
const headerBytes = 1 + nonceBytes;

/** Of the 256 bits of a fingerprint, as many as no two keys share by chance. */
const fingerprintBytes = 8;

/**
 * Wraps with a master key in this process. A nonce is 96 bits of chance: safe for 2^32 wrappings (NIST SP 800-38D, 8.3), and a
 * rotation makes one.
 */
export function masterKeyProvider({ key, source }: MasterKey, randomBytes: RandomBytes): KeyProvider {
  // A pseudorandom function of the key: nobody can compute the key from it, or check a guess at 256 bits of chance.
  const fingerprint = createHmac("sha256", key).update("hivepost master key fingerprint").digest();
  const id = `master-${fingerprint.subarray(0, fingerprintBytes).toString("hex")}`;
  return {
    id,
    source,
    async wrap(dataKey, context) {
      const header = new Uint8Array(headerBytes);
      header[0] = version;
      const nonce = new Uint8Array(nonceBytes);
      randomBytes(nonce);
      header.set(nonce, 1);
      return sealBytes(key, header, Buffer.from(context), dataKey);
    },
    async unwrap(wrapped, context) {
      const dataKey = wrapped[0] === version ? openBytes(key, wrapped, headerBytes, Buffer.from(context)) : undefined;
      if (dataKey) return dataKey;
      throw new BusError("key_unavailable", `a data key does not open with ${source} (${id}): it was damaged or moved`);
    },
  };
}
