import { type KeyObject, randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { BusError } from "../contract/errors.ts";
import { createOutboxCipher, isKeyPrint, keyPrint, type OutboxCipher } from "./outbox-cipher-node.ts";
import { makeOutboxKey, readOutboxKey, requireApart } from "./outbox-key-node.ts";

/*
 * The versions of the file (`user_version`):
 *
 *   0 (new) ──────────────────────────────────────────────▶ 3 (sealed)
 *   1 (plain text) ──▶ 2 (sealed, traces of plain text) ──▶ 3
 *
 * Each step is one transaction, or can be done again: a process that dies on the way loses nothing.
 */
const plain_version = 1;
const traces_version = 2;
const sealed_version = 3;

const schema = `
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lane TEXT NOT NULL,
    sealed_message BLOB NOT NULL,
    queued_at_ms INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'refused')),
    error_code TEXT,
    sealed_error BLOB
  ) STRICT;
  CREATE INDEX outbox_queued ON outbox (lane, seq) WHERE state = 'queued';
  CREATE TABLE sealing (outbox_id TEXT NOT NULL, key_print BLOB NOT NULL) STRICT;`;

const outboxIdBytes = 16;

/** How long a write waits for another process's; each is one short transaction. */
const busy_timeout_ms = 5_000;

export type OutboxDatabase = { readonly database: DatabaseSync; readonly cipher: OutboxCipher };

/**
 * Opens the file of an outbox, which is made where there is none; one in plain text is sealed now.
 *
 * @throws BusError `key_unavailable`, `database_newer`, `database_damaged`; and what SQLite throws.
 */
export function openDatabase(file: string, key_file: string): OutboxDatabase {
  requireApart(key_file, file);
  const key = readOutboxKey(key_file);
  const database = openPrivate(file, busy_timeout_ms);
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;");
    const cipher = inTransaction(database, () => openSealed(database, { file, key_file, key }));
    if (versionOf(database) === traces_version) wipeTraces(database);
    return { database, cipher };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Only its owner may read what waits in it; SQLite gives the files beside it the same permissions. */
export function openPrivate(file: string, timeout: number): DatabaseSync {
  if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
  return new DatabaseSync(file, { timeout });
}

export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

type Opening = { readonly file: string; readonly key_file: string; readonly key: KeyObject | undefined };

function openSealed(database: DatabaseSync, opening: Opening): OutboxCipher {
  const version = versionOf(database);
  if (version > sealed_version) {
    throw new BusError(
      "database_newer",
      `the outbox ${opening.file} was written by a newer Hivepost; update this program to use it`,
    );
  }
  if (version >= traces_version) return requireCipher(database, opening);
  // Nothing is sealed yet, so a key that is not there is not missing.
  const key = opening.key ?? makeOutboxKey(opening.key_file);
  return version === plain_version ? sealPlainText(database, key) : createTables(database, key);
}

function requireCipher(database: DatabaseSync, { file, key_file, ...opening }: Opening): OutboxCipher {
  // Since this process looked for the key, another may have made both it and the outbox.
  const key = opening.key ?? readOutboxKey(key_file);
  const found = database.prepare("SELECT outbox_id, key_print FROM sealing").get();
  if (!found) throw new BusError("database_damaged", `the outbox ${file} has lost its id; restore it from a copy`);
  // Written by `createTables`.
  const { outbox_id, key_print } = found as { outbox_id: string; key_print: Uint8Array };
  const wayOut = `bring the right one back, name its place with HIVEPOST_OUTBOX_KEY_FILE, or move the outbox away to begin a new one`;
  if (!key) {
    throw new BusError(
      "key_unavailable",
      `the key file ${key_file} is missing, and without it nothing in the outbox ${file} can be read; ${wayOut}`,
    );
  }
  if (isKeyPrint(key_print, key, outbox_id)) return createOutboxCipher(key, outbox_id);
  throw new BusError(
    "key_unavailable",
    `the key file ${key_file} does not hold the key that the outbox ${file} was sealed with; ${wayOut}`,
  );
}

function createTables(database: DatabaseSync, key: KeyObject): OutboxCipher {
  const outbox_id = randomBytes(outboxIdBytes).toString("hex");
  database.exec(schema);
  database.prepare("INSERT INTO sealing (outbox_id, key_print) VALUES (?, ?)").run(outbox_id, keyPrint(key, outbox_id));
  database.exec(`PRAGMA user_version = ${sealed_version}`);
  return createOutboxCipher(key, outbox_id);
}

type PlainRow = {
  readonly seq: number;
  readonly id: string;
  readonly lane: string;
  readonly message: string;
  readonly queued_at_ms: number;
  readonly state: string;
  readonly error_code: string | null;
  readonly error_message: string | null;
};

/** A process of the earlier version that still has the file open finds its table gone, and can write nothing in plain text. */
function sealPlainText(database: DatabaseSync, key: KeyObject): OutboxCipher {
  database.exec("DROP INDEX outbox_queued; ALTER TABLE outbox RENAME TO plain_outbox;");
  const cipher = createTables(database, key);
  // Numbers given out once are not given out again.
  database.exec("INSERT INTO sqlite_sequence SELECT 'outbox', seq FROM sqlite_sequence WHERE name = 'plain_outbox'");
  const add = database.prepare("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  for (const row of database.prepare("SELECT * FROM plain_outbox ORDER BY seq").iterate()) {
    const { seq, id, lane, message, queued_at_ms, state, error_code, error_message } = row as PlainRow;
    const sealed_error = error_message === null ? null : cipher.seal(id, "refusal", error_message);
    add.run(seq, id, lane, cipher.seal(id, "message", message), queued_at_ms, state, error_code, sealed_error);
  }
  database.exec(`DROP TABLE plain_outbox; PRAGMA user_version = ${traces_version};`);
  return cipher;
}

/**
 * Writes the whole file anew, without the free pages in which plain text lies on, and empties the log. Where another process is
 * reading just now the log cannot be emptied, and the next who opens the outbox does it.
 */
function wipeTraces(database: DatabaseSync): void {
  database.exec("VACUUM");
  const { busy } = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
  if (busy === 0) database.exec(`PRAGMA user_version = ${sealed_version}`);
}

function versionOf(database: DatabaseSync): number {
  return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}
