import type { Store } from "../../src/app/ports.ts";
import { type CipherKeys, openKeyRing } from "../../src/crypto/key-ring.ts";
import { createVault, type Vault } from "../../src/crypto/vault.ts";
import { openSqliteStore, type SqliteStoreOptions } from "../../src/stores/sqlite/store.ts";
import { chance, providerOf } from "../crypto/keys.ts";

/** A store with its keys, wrapped by a master key that all tests know. */
export async function openUnlockedStore(options: SqliteStoreOptions): Promise<Store> {
  const store = await openSqliteStore(options);
  await store.keys.use(await cipherKeysOf(store));
  return store;
}

/** What opens and seals like the store's own. */
export async function vaultOf(store: Store): Promise<Vault> {
  const vault = createVault(chance);
  vault.use(await cipherKeysOf(store));
  return vault;
}

async function cipherKeysOf({ keys: { hive_id, records } }: Store): Promise<CipherKeys> {
  const ring = await openKeyRing({ hive_id, records, provider: providerOf(1), now: () => 0, randomBytes: chance });
  return ring.cipherKeys();
}
