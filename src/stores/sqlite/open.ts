import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { BusError } from "../../contract/errors.ts";
import { openConnection } from "./connection.ts";
import { asDamage, damaged, removeSum, requireHealthy, verifySum } from "./damage.ts";
import { databaseName, migrate, readMeta, readMetaText, writeMeta, writeMetaText } from "./schema.ts";
import { recoverActivity } from "./writer-conversations.ts";

/** SQLite before this can corrupt a database when one connection checkpoints while another commits. Source: sqlite.org/wal.html#walresetbug */
const safeSqlite = [3, 51, 3] as const;

/** @throws BusError `sqlite_unsafe`. */
export function requireSafeSqlite(version: string): void {
  const parts = version.split(".").map(Number);
  const difference = safeSqlite.map((least, index) => (parts[index] ?? 0) - least).find((it) => it !== 0) ?? 0;
  if (difference >= 0) return;
  throw new BusError(
    "sqlite_unsafe",
    `SQLite ${version} can corrupt the database; at least ${safeSqlite.join(".")} is needed. Use Node 24.15 or newer.`,
  );
}

/** Makes the data folder, for its owner only. */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700); // Whatever the umask.
}

export type Prepared = {
  readonly file: string;
  /** How often this hive was opened, this time included. */
  readonly generation: number;
};

/**
 * Brings the database of a folder into the state in which the threads can take it over: checked, of the newest schema,
 * and with what a crash may have left undone made up for. The folder is locked already.
 *
 * @throws BusError `database_damaged`, `database_newer`.
 */
export async function prepareDatabase(folder: string): Promise<Prepared> {
  const file = path.join(folder, databaseName);
  refuseLost(folder, file);
  const isVerified = await verifySum(file);
  const isNew = !existsSync(file);
  const db = asDamage(file, () => openConnection(file, "writer"));
  try {
    if (!isNew && !isVerified) requireHealthy(db, file);
    asDamage(file, () => migrate(db, file));
    const generation = asDamage(file, () => takeUp(db));
    removeSum(file);
    return { file, generation };
  } finally {
    db.close();
  }
}

/** A database that was truncated to nothing, or is gone, must not silently be replaced by a new one. */
function refuseLost(folder: string, file: string): void {
  const isThere = existsSync(file) && statSync(file).size > 0;
  if (isThere || !existsSync(path.join(folder, `${databaseName}-wal`))) return;
  if (statSync(path.join(folder, `${databaseName}-wal`)).size === 0) return;
  throw damaged(file, "it is empty or gone, but its write-ahead log is still there");
}

/** What a start does in one transaction. */
function takeUp(db: DatabaseSync): number {
  db.exec("BEGIN IMMEDIATE");
  const generation = (readMeta(db, "generation") ?? 0) + 1;
  writeMeta(db, "generation", generation);
  if (readMetaText(db, "hive_id") === undefined) writeMetaText(db, "hive_id", randomUUID());
  recoverActivity(db, readMeta(db, "activity_position") ?? 0);
  parkAll(db);
  db.exec("COMMIT");
  return generation;
}

/** From here on the index of open deliveries knows all that are open; see writer-parking.ts. */
function parkAll(db: DatabaseSync): void {
  const from = readMeta(db, "parked_before") ?? 0;
  db.prepare("UPDATE deliveries SET parked = 1 WHERE message_position >= ? AND parked = 0 AND state = 'ready'").run(
    from,
  );
  const last = db
    .prepare("SELECT message_position AS position FROM events WHERE event = 'accepted' ORDER BY position DESC LIMIT 1")
    .get();
  const before = Number(last?.["position"] ?? 0) + 1;
  if (before > from) writeMeta(db, "parked_before", before);
  if (before > (readMeta(db, "activity_position") ?? 0)) writeMeta(db, "activity_position", before - 1);
}
