import type { DatabaseSync } from "node:sqlite";

const page_bytes = 4_096;

/** The write-ahead log: how long it is, and how much of that is not in the database yet. */
export function logSize(db: DatabaseSync): { readonly log_bytes: number; readonly to_copy_bytes: number } {
  const row = db.prepare("PRAGMA wal_checkpoint(NOOP)").get() ?? {};
  // -1 where there is no log yet.
  const log = Math.max(0, Number(row["log"]));
  const copied = Math.max(0, Number(row["checkpointed"]));
  return { log_bytes: log * page_bytes, to_copy_bytes: Math.max(0, log - copied) * page_bytes };
}
