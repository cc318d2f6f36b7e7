import { randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type { Vault } from "../../crypto/vault.ts";
import { openConnection } from "./connection.ts";
import { isDamage } from "./failure.ts";
import { indexSchema, indexVersion, indexVersionOf, type Progress, textToIndex } from "./index-file.ts";
import { type MessageRow, openBody, recipientsOf } from "./rows.ts";
import { prepare, type Statement } from "./statement.ts";

/** What of a message goes into the index: `SELECT ${indexedColumns} FROM messages AS m`. */
export type IndexedRow = Pick<
  MessageRow,
  | "position"
  | "id"
  | "from_agent"
  | "to_agent"
  | "recipients"
  | "priority"
  | "conversation_id"
  | "message_type"
  | "metadata"
  | "content"
>;
export const indexedColumns =
  "m.position, m.id, m.from_agent, m.to_agent, m.recipients, m.priority, m.conversation_id, m.message_type, m.metadata, m.content";

/** The index as the one who writes it sees it. */
export type IndexWriting = {
  progress(): Progress;
  /** Enters messages, and how far the index has come with them; all in one transaction. */
  add(
    messages: readonly IndexedRow[],
    upTo: Pick<Progress, "event_position" | "event_at_ms" | "message_position">,
  ): void;
  noteForgotten(messages: number): void;
  /** Throws the file away and begins anew. */
  rebuild(): void;
  close(): void;
};

/**
 * Opens the index, or begins a new one where it is missing, damaged, of another version or cannot be trusted.
 *
 * @param vault Unlocked before anything is added.
 * @param onRebuild Told why an index that was there is thrown away.
 */
export function openIndexForWriting(file: string, vault: Vault, onRebuild: (reason: string) => void): IndexWriting {
  let open = openTrusted(file, onRebuild);
  return {
    progress: () => open.readProgress(),

    add(messages, { event_position, event_at_ms, message_position }) {
      open.db.exec("BEGIN IMMEDIATE");
      try {
        for (const message of messages) open.insert.run(message.position, textOf(message, vault));
        open.advance.run(event_position, event_at_ms, message_position, messages.length);
        open.db.exec("COMMIT");
      } catch (error) {
        if (open.db.isTransaction) open.db.exec("ROLLBACK");
        throw error;
      }
    },

    noteForgotten(messages) {
      open.forget.run(messages);
    },

    rebuild() {
      open.db.close();
      open = openNew(file);
    },

    close() {
      open.db.exec("UPDATE progress SET boot_id = ''");
      open.db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      open.db.close();
    },
  };
}

type Open = {
  readonly db: DatabaseSync;
  readonly insert: Statement<never>;
  readonly advance: Statement<never>;
  readonly forget: Statement<never>;
  readProgress(): Progress;
};

function textOf(row: IndexedRow, vault: Vault): string {
  const { content, metadata } = openBody(vault, row);
  return textToIndex(content, { ...row, recipients: recipientsOf(row), metadata }, vault);
}

function openTrusted(file: string, onRebuild: (reason: string) => void): Open {
  let found: { open: Open; distrust: string | undefined } | undefined;
  try {
    found = tryOpen(file);
  } catch (error) {
    if (!isDamage(error)) throw error;
    onRebuild(error instanceof Error ? error.message : String(error));
  }
  if (found && found.distrust === undefined) return found.open;
  if (found?.distrust) onRebuild(found.distrust);
  found?.open.db.close();
  return openNew(file);
}

/** Undefined where there is none yet. */
function tryOpen(file: string): { open: Open; distrust: string | undefined } | undefined {
  const db = openConnection(file, "indexer");
  try {
    const version = indexVersionOf(db);
    if (version === 0) {
      db.close();
      return undefined;
    }
    if (version !== indexVersion) return { open: bare(db), distrust: `it has version ${version}` };
    const open = statements(db);
    const { boot_id } = open.readProgress();
    if (boot_id !== "" && boot_id !== bootId) {
      // It never waits for the disk, so only a stop of the whole machine can have torn it.
      return { open, distrust: "the machine stopped while it was open" };
    }
    markOpen(db);
    return { open, distrust: undefined };
  } catch (error) {
    db.close();
    throw error;
  }
}

function openNew(file: string): Open {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
  const db = openConnection(file, "indexer");
  db.exec(`BEGIN IMMEDIATE; ${indexSchema}; COMMIT`);
  markOpen(db);
  return statements(db);
}

/** What the kernel calls this start of the machine; where it does not say, every start is another. */
const bootId = readBootId();

function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return randomUUID();
  }
}

function markOpen(db: DatabaseSync): void {
  prepare(db, "UPDATE progress SET boot_id = ?").run(bootId);
}

/** Only to be closed. */
function bare(db: DatabaseSync): Open {
  const none = prepare(db, "SELECT 1");
  return { db, insert: none, advance: none, forget: none, readProgress: () => noProgress };
}

const noProgress: Progress = {
  event_position: 0,
  event_at_ms: 0,
  message_position: 0,
  indexed: 0,
  forgotten: 0,
  boot_id: "",
};

function statements(db: DatabaseSync): Open {
  const progress = prepare<Progress>(db, "SELECT * FROM progress");
  return {
    db,
    insert: prepare(db, "INSERT INTO terms (rowid, list) VALUES (?, ?)"),
    advance: prepare(
      db,
      "UPDATE progress SET event_position = ?, event_at_ms = ?, message_position = ?, indexed = indexed + ?",
    ),
    forget: prepare(db, "UPDATE progress SET forgotten = forgotten + ?"),
    readProgress: () => progress.get() ?? noProgress,
  };
}
