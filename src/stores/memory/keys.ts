import type { StoreKeys } from "../../app/ports.ts";
import type { CountedKey, KeyRecords } from "../../crypto/key-ring.ts";

/** Keys as any store keeps them; nothing is sealed with them, since nothing lies on a disk. */
export function storeKeys(): StoreKeys {
  return {
    hive_id: "memory",
    records: keyRecords(),
    use: async () => undefined,
    reencrypt: async () => ({ looked_at: 0, resealed: 0, share: 1, done: true }),
    isReencrypting: async () => false,
  };
}

function keyRecords(): KeyRecords {
  let stored: readonly CountedKey[] = [];
  return {
    load: async () => stored,
    async add(keys) {
      if (keys.some((it) => stored.some((one) => one.purpose === it.purpose && one.epoch === it.epoch))) return false;
      stored = [...stored, ...keys.map((it) => ({ ...it, seals: 0 }))];
      return true;
    },
    async replaceAll(keys) {
      const byId = new Map(keys.map((it) => [it.key_id, it]));
      stored = stored.map((it) => ({ ...it, ...byId.get(it.key_id) }));
    },
  };
}
