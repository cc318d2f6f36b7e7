import { Buffer } from "node:buffer";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { nonceBytes, openBytes, sealBytes } from "./aes-gcm.ts";
import type { CipherKeys, ContentKey } from "./key-ring.ts";
import { createNoncePool } from "./nonce-pool.ts";

/*
 * A sealed field, byte by byte (numbers big-endian):
 *
 *   offset  length  what
 *        0       1  version of this form: 1
 *        1       4  epoch of the content key
 *        5      12  nonce
 *       17       n  ciphertext, as long as the text in UTF-8
 *   17 + n      16  tag
 *
 * AES-256-GCM, with the additional data `1|<hive id>|<message id>|<field>|<key id>` in UTF-8: sealed bytes that are moved to
 * another message, field, hive or key do not open. Checked against test/vectors/at-rest.json.
 */

const version = 1;
const epochAt = 1;
const nonceAt = 5;
const headerBytes = nonceAt + nonceBytes;

/** Where a sealed text stands. */
export type SealedPlace = { readonly message_id: string; readonly field: "content" | "metadata" };

export type FieldCipher = {
  /**
   * Seals under the newest epoch. The same text gives other bytes each time.
   *
   * @param text Well-formed Unicode, as the bus admits: half a surrogate pair has no UTF-8 and would come back as another
   *   character, so it is refused.
   * @throws BusError `invalid_input` for half of a surrogate pair.
   */
  seal(place: SealedPlace, text: string): Uint8Array<ArrayBuffer>;
  /**
   * @throws BusError `content_damaged` for bytes that were not sealed for this place by this hive, `key_unavailable` for
   *   an epoch whose key is not among the keys. Neither says anything of the content.
   */
  open(place: SealedPlace, sealed: Uint8Array): string;
};

/**
 * Seals and opens the texts of messages. Whoever has the same keys opens what another has sealed: each thread makes a
 * cipher of its own from keys it was sent, with a pool of nonces of its own.
 *
 * Nonces are chance, so a virtual machine that goes on twice from one snapshot of its memory may use up to 512 of them
 * twice: rotate the keys of a hive whose running server was cloned.
 */
export function createFieldCipher(keys: CipherKeys, randomBytes: RandomBytes): FieldCipher {
  const byEpoch = new Map(keys.content.map((it) => [it.epoch, it]));
  const newest = keys.content.reduce((a, b) => (b.epoch > a.epoch ? b : a));
  const drawNonce = createNoncePool(randomBytes);
  const additional = ({ message_id, field }: SealedPlace, { key_id }: ContentKey) =>
    Buffer.from(`${version}|${keys.hive_id}|${message_id}|${field}|${key_id}`);
  return {
    seal(place, text) {
      if (!text.isWellFormed()) {
        throw new BusError("invalid_input", `the ${place.field} holds half of a surrogate pair (\\ud800…)`);
      }
      const header = Buffer.allocUnsafe(headerBytes);
      header[0] = version;
      header.writeUInt32BE(newest.epoch, epochAt);
      header.set(drawNonce(), nonceAt);
      return sealBytes(newest.key, header, additional(place, newest), Buffer.from(text));
    },
    open(place, sealed) {
      if (sealed[0] !== version || sealed.length < headerBytes) throw damaged(place);
      const epoch = sealedEpoch(sealed);
      const key = byEpoch.get(epoch);
      if (!key) throw unknownEpoch(place, epoch);
      const plain = openBytes(key.key, sealed, headerBytes, additional(place, key));
      if (!plain) throw damaged(place);
      return plain.toString();
    },
  };
}

/** The epoch under which a field was sealed, as its bytes say; authentic only once they have been opened. 0: none. */
export function sealedEpoch(sealed: Uint8Array): number {
  if (sealed.length < headerBytes) return 0;
  return new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength).getUint32(epochAt);
}

function damaged({ message_id, field }: SealedPlace): BusError {
  return new BusError(
    "content_damaged",
    `the ${field} of message ${message_id} is not as this hive has sealed it; restore it from a backup`,
  );
}

function unknownEpoch({ message_id, field }: SealedPlace, epoch: number): BusError {
  return new BusError(
    "key_unavailable",
    `the ${field} of message ${message_id} names key epoch ${epoch}, which this hive's keys do not include; ` +
      "restore the keys from a backup that is as recent as the message",
  );
}
