import type { DatabaseSync } from "node:sqlite";
import { BusError } from "../../contract/errors.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";
import { mostSealsPerEpoch } from "../../crypto/key-ring.ts";
import type { Vault } from "../../crypto/vault.ts";
import { prepare } from "./statement.ts";

/** The writer's cipher, which counts what it seals: a key is safe for so many random nonces, and no more. */
export type MeteredCipher = {
  /** @throws BusError `key_unavailable` from `seal` once the epoch is used up. */
  readonly cipher: FieldCipher;
  /** Within the transaction of a batch: writes the count down once it has grown by much. */
  maintain(): void;
  /** What a transaction wrote is undone. The seals are not: their nonces were drawn. */
  rollBack(): void;
};

/** A crash forgets this many at most; the limit has room for half a million crashes. */
const written_every = 4_096;

export function createMeteredCipher(db: DatabaseSync, vault: Vault): MeteredCipher {
  const sql = {
    seals: prepare<{ seals: number }>(db, "SELECT seals FROM keys WHERE key_id = ?"),
    note: prepare(db, "UPDATE keys SET seals = MAX(seals, ?) WHERE key_id = ?"),
  };
  /** The key sealed with, its seals, and how many of them stand on disk. */
  let key_id = "";
  let [seals, written] = [0, 0];

  function begin(newest: string): void {
    key_id = newest;
    seals = sql.seals.get(key_id)?.seals ?? 0;
    written = seals;
  }

  return {
    cipher: {
      seal(place, text) {
        const { key_id: newest, epoch } = vault.newest();
        if (newest !== key_id) begin(newest);
        if (seals >= mostSealsPerEpoch) throw epochUsedUp(epoch);
        seals += 1;
        return vault.seal(place, text);
      },
      open: vault.open,
    },
    maintain() {
      if (seals - written < written_every) return;
      sql.note.run(seals, key_id);
      written = seals;
    },
    rollBack() {
      written = 0;
    },
  };
}

function epochUsedUp(epoch: number): BusError {
  return new BusError(
    "key_unavailable",
    `key epoch ${epoch} has sealed as many fields as it safely may; hivepost keys rotate makes a new one`,
  );
}
