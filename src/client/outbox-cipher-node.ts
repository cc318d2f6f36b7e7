import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { keyBytes, nonceBytes, openBytes, sealBytes } from "../crypto/aes-gcm.ts";
import { createNoncePool } from "../crypto/nonce-pool.ts";

/*
 * A sealed record of an outbox, byte by byte:
 *
 *   offset  length  what
 *        0       1  version of this form: 1
 *        1      16  salt: the record's key is HKDF-SHA-256(key of the user, salt, `hivepost outbox|1|<outbox id>`)
 *       17      12  nonce
 *       29       n  ciphertext, as long as the text in UTF-8
 *   29 + n      16  tag
 *
 * AES-256-GCM, with the additional data `1|<outbox id>|<message id>|<part>` in UTF-8: a record that is moved to another message,
 * part or outbox does not open. Whoever opens the outbox draws a salt, and so seals with a key of its own: no count of
 * messages has to be kept over processes and restarts for nonces of chance to stay safe.
 */

const version = 1;
const saltAt = 1;
const saltBytes = 16;
const nonceAt = saltAt + saltBytes;
const headerBytes = nonceAt + nonceBytes;

/** Far below the 2^32 after which nonces of chance are no longer safe with one key (NIST SP 800-38D, 8.3). */
const sealsPerSalt = 2 ** 24;
/** Keys remembered for opening: one is worked out in 10 µs, and what waits was sealed by a few processes. */
const mostKeys = 64;

/** What of a message a record holds: the message as it is to be sent, or why the server refused it. */
export type SealedPart = "message" | "refusal";

export type OutboxCipher = {
  /** The same text gives other bytes each time. */
  seal(message_id: string, part: SealedPart, text: string): Uint8Array;
  /** Undefined for what is not as it was sealed for this place in this outbox. */
  open(message_id: string, part: SealedPart, sealed: Uint8Array): string | undefined;
};

/** Seals and opens what waits in one outbox. */
export function createOutboxCipher(key: KeyObject, outbox_id: string): OutboxCipher {
  const keys = createKeyCache((salt) => deriveKey(key, salt, outbox_id));
  const additional = (message_id: string, part: SealedPart) =>
    Buffer.from(`${version}|${outbox_id}|${message_id}|${part}`);
  const drawNonce = createNoncePool((bytes) => crypto.getRandomValues(bytes));
  const drawKey = () => {
    const salt = randomBytes(saltBytes);
    return { start: Buffer.concat([Buffer.of(version), salt]), key: keys(salt), seals: 0 };
  };
  let sealing = drawKey();
  return {
    seal(message_id, part, text) {
      if (sealing.seals === sealsPerSalt) sealing = drawKey();
      sealing.seals += 1;
      const header = Buffer.concat([sealing.start, drawNonce()]);
      return sealBytes(sealing.key, header, additional(message_id, part), Buffer.from(text));
    },
    open(message_id, part, sealed) {
      if (sealed[0] !== version || sealed.length < headerBytes) return undefined;
      return openBytes(
        keys(sealed.subarray(saltAt, nonceAt)),
        sealed,
        headerBytes,
        additional(message_id, part),
      )?.toString();
    },
  };
}

/** What an outbox keeps to tell its key from another: 32 bytes that say nothing about the key. */
export function keyPrint(key: KeyObject, outbox_id: string): Uint8Array {
  return createHmac("sha256", key).update(`hivepost outbox key print|${version}|${outbox_id}`).digest();
}

export function isKeyPrint(print: Uint8Array, key: KeyObject, outbox_id: string): boolean {
  const expected = keyPrint(key, outbox_id);
  return print.length === expected.length && timingSafeEqual(print, expected);
}

function deriveKey(key: KeyObject, salt: Uint8Array, outbox_id: string): KeyObject {
  const bytes = Buffer.from(hkdfSync("sha256", key, salt, `hivepost outbox|${version}|${outbox_id}`, keyBytes));
  const derived = createSecretKey(bytes);
  bytes.fill(0);
  return derived;
}

function createKeyCache(derive: (salt: Uint8Array) => KeyObject): (salt: Uint8Array) => KeyObject {
  const known = new Map<string, KeyObject>();
  return (salt) => {
    const name = Buffer.from(salt).toString("latin1");
    const found = known.get(name);
    if (found) return found;
    const [oldest] = known.keys();
    if (known.size === mostKeys && oldest !== undefined) known.delete(oldest);
    const derived = derive(salt);
    known.set(name, derived);
    return derived;
  };
}
