import type { AuditHead } from "../../app/ports.ts";
import { openConnection } from "./connection.ts";
import { asDamage } from "./damage.ts";
import { requireDatabase } from "./folder.ts";
import { readMetaText, writeMetaText } from "./schema.ts";

/**
 * The head of a folder's audit log for who works there without the server; writing takes the folder's lock.
 *
 * @throws BusError `invalid_input` where there is no hive, `database_damaged`.
 */
export function openAuditHead(folder: string): AuditHead {
  const file = requireDatabase(folder);
  return {
    async read() {
      return asDamage(file, () => {
        using db = openConnection(file, "reader");
        return readMetaText(db, "audit_head");
      });
    },
    async write(head) {
      asDamage(file, () => {
        using db = openConnection(file, "writer");
        writeMetaText(db, "audit_head", head);
      });
    },
  };
}
