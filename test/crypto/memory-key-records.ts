import type { KeyRecords, WrappedKey } from "../../src/crypto/key-ring.ts";

/** Key records that live as long as the test, and as a store would give them back: through JSON. */
export function memoryKeyRecords(): KeyRecords & { readonly stored: () => readonly WrappedKey[] } {
  let text = "[]";
  const seals = new Map<string, number>();
  const stored = () => JSON.parse(text) as WrappedKey[];
  return {
    stored,
    async load() {
      return stored();
    },
    async add(records) {
      const known = stored();
      const taken = (it: WrappedKey) => known.some((one) => one.purpose === it.purpose && one.epoch === it.epoch);
      if (records.some(taken)) return false;
      text = JSON.stringify([...known, ...records]);
      return true;
    },
    async replaceAll(records) {
      const byId = new Map(records.map((it) => [it.key_id, it]));
      text = JSON.stringify(stored().map((it) => byId.get(it.key_id) ?? it));
    },
    async reserveSeals(key_id, fields) {
      const total = (seals.get(key_id) ?? 0) + fields;
      seals.set(key_id, total);
      return total;
    },
  };
}
