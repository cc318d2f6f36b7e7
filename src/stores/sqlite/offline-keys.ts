import type { CountedKey } from "../../crypto/key-ring.ts";
import { openConnection } from "./connection.ts";
import { asDamage } from "./damage.ts";
import { requireDatabase } from "./folder.ts";
import { readKeys } from "./keys.ts";
import { readMetaText } from "./schema.ts";

/**
 * The key records of a folder, for who works there without the server.
 *
 * @throws BusError `invalid_input` where there is no hive, `database_damaged`.
 */
export function readKeyRecords(folder: string): { readonly hive_id: string; readonly records: readonly CountedKey[] } {
  const file = requireDatabase(folder);
  return asDamage(file, () => {
    using db = openConnection(file, "reader");
    return { hive_id: readMetaText(db, "hive_id") ?? "", records: readKeys(db) };
  });
}
