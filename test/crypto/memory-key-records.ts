import type { CountedKey, KeyRecords } from "../../src/crypto/key-ring.ts";

type MemoryKeyRecords = KeyRecords & {
  readonly stored: () => readonly CountedKey[];
  /** As a store notes it. */
  readonly setSeals: (key_id: string, seals: number) => void;
};

/** Key records that live as long as the test, and as a store would give them back: through JSON. */
export function memoryKeyRecords(): MemoryKeyRecords {
  let text = "[]";
  const stored = () => JSON.parse(text) as CountedKey[];
  return {
    stored,
    setSeals(key_id, seals) {
      text = JSON.stringify(stored().map((it) => (it.key_id === key_id ? { ...it, seals } : it)));
    },
    async load() {
      return stored();
    },
    async add(records) {
      const known = stored();
      const taken = (it: { purpose: string; epoch: number }) =>
        known.some((one) => one.purpose === it.purpose && one.epoch === it.epoch);
      if (records.some(taken)) return false;
      text = JSON.stringify([...known, ...records.map((it) => ({ ...it, seals: 0 }))]);
      return true;
    },
    async replaceAll(records) {
      const byId = new Map(records.map((it) => [it.key_id, it]));
      text = JSON.stringify(stored().map((it) => ({ ...it, ...byId.get(it.key_id) })));
    },
  };
}
