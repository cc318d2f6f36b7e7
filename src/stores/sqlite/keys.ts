import type { DatabaseSync } from "node:sqlite";
import type { StoreKeys } from "../../app/ports.ts";
import { invariant } from "../../base/invariant.ts";
import type { CountedKey, WrappedKey } from "../../crypto/key-ring.ts";
import type { Vault } from "../../crypto/vault.ts";
import type { StoreContext } from "./context.ts";
import { readMeta, readMetaText } from "./schema.ts";
import { prepare } from "./statement.ts";

/** The hive's keys: their records on disk, and what opens and seals with them in every thread. */
export function storeKeys({ queue, lookups, reader, indexer }: StoreContext, vault: Vault): StoreKeys {
  const hive_id = lookups.load((db) => readMetaText(db, "hive_id"));
  invariant(hive_id, "a database is given the id of its hive when it is made");
  return {
    hive_id,
    records: {
      load: async () => lookups.load(readKeys),
      add: (keys) => queue.submit({ operation: "add_keys", keys }, { apply: (isAdded) => isAdded }),
      replaceAll: (keys) => queue.submit({ operation: "replace_keys", keys }, { apply: () => undefined }),
    },
    async use(keys) {
      // Who reads knows an epoch before anything is sealed under it.
      vault.use(keys);
      await Promise.all([reader.ask("use_keys", keys), indexer.use(keys)]);
      await queue.submit({ operation: "use_keys", keys }, { apply: () => undefined });
    },
    isReencrypting: async () => lookups.load((db) => readMeta(db, "reencrypted_epoch") !== undefined),
    reencrypt: (limit) => queue.submit({ operation: "reencrypt", limit }, { apply: (progress) => progress }),
  };
}

export function readKeys(db: DatabaseSync): CountedKey[] {
  return prepare<CountedKey>(
    db,
    "SELECT purpose, epoch, key_id, wrapped, provider, created_at, seals FROM keys ORDER BY purpose, epoch",
  )
    .all()
    .map((it) => ({ ...it }));
}

/** All of them, or none where a purpose has a key of that epoch already. */
export function addKeys(db: DatabaseSync, keys: readonly WrappedKey[]): boolean {
  const taken = prepare(db, "SELECT 1 FROM keys WHERE purpose = ? AND epoch = ?");
  if (keys.some((it) => taken.get(it.purpose, it.epoch))) return false;
  const add = prepare(
    db,
    "INSERT INTO keys (purpose, epoch, key_id, wrapped, provider, created_at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  for (const it of keys) add.run(it.purpose, it.epoch, it.key_id, it.wrapped, it.provider, it.created_at);
  return true;
}

export function replaceKeys(db: DatabaseSync, keys: readonly WrappedKey[]): void {
  const replace = prepare(db, "UPDATE keys SET wrapped = ?, provider = ? WHERE key_id = ?");
  for (const { wrapped, provider, key_id } of keys) replace.run(wrapped, provider, key_id);
}
