import type { Mailroom } from "./mailroom.ts";
import type { Office } from "./office.ts";

type KeyOperations = Pick<Mailroom, "getKeys" | "rotateKeys" | "rewrapKeys" | "reencryptMessages">;

export function keyOperations({ keys }: Office): KeyOperations {
  return {
    getKeys: () => keys.status(),
    rotateKeys: () => keys.rotate(),
    rewrapKeys: ({ key_file }) => keys.rewrap(key_file),
    reencryptMessages: () => keys.reencrypt(),
  };
}
