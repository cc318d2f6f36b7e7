import { closeSync, existsSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { sameJson } from "../base/json.ts";
import { BusError } from "../contract/errors.ts";
import type { MessageId, NewMessage } from "../contract/messages.ts";

/** A message as it waits: its id is fixed, so that sending it twice is the same as sending it once. */
export type QueuedMessage = {
  /** Order of acceptance in this outbox. */
  readonly seq: number;
  readonly message: NewMessage & { readonly id: MessageId };
};

/** A message that the server will not take, however often it is sent. */
export type RefusedMessage = {
  readonly message: NewMessage & { readonly id: MessageId };
  readonly queued_at_ms: number;
  readonly error: { readonly code: string; readonly message: string };
};

export type OutboxCounts = {
  readonly queued: number;
  readonly refused: number;
  readonly oldest_ms: number | undefined;
};

/** The messages of an outbox, in an SQLite file that several processes may share. */
export type OutboxFile = Disposable & {
  /** Adds messages, on disk when it returns. Those that are there already stay as they are. */
  add(messages: readonly QueuedMessage["message"][], queued_at_ms: number): void;
  /** Lanes that have something queued. */
  lanes(): readonly string[];
  /** What is queued in a lane after `seq`, the oldest first. */
  queued(lane: string, after: number, limit: number): readonly QueuedMessage[];
  /** Whether a message is queued that came before number `before`. */
  isQueued(id: string, before: number): boolean;
  /** Forgets messages that the server has. */
  remove(seqs: readonly number[]): void;
  refuse(seq: number, error: { code: string; message: string }): void;
  refused(limit: number): readonly RefusedMessage[];
  /** Queues refused messages again, or drops them; all of them where no ids are given. Returns how many. */
  requeue(ids: readonly string[] | undefined): number;
  discard(ids: readonly string[] | undefined): number;
  counts(): OutboxCounts;
  /** The number of the latest message, and how many up to a number are still queued. */
  lastSeq(): number;
  queuedUpTo(seq: number): number;
  /** Changes whenever another process has changed the file. */
  version(): number;
  /** True while this is the one that drains; the lock dies with the process that holds it. */
  tryLock(): boolean;
};

const schema_version = 1;
const schema = `
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lane TEXT NOT NULL,
    message TEXT NOT NULL,
    queued_at_ms INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'refused')),
    error_code TEXT,
    error_message TEXT
  ) STRICT;
  CREATE INDEX outbox_queued ON outbox (lane, seq) WHERE state = 'queued';
  PRAGMA user_version = ${schema_version};`;

/** How long a write waits for another process's; each is one short transaction. */
const busy_timeout_ms = 5_000;

type Row = { seq: number; message: string };
type RefusedRow = Row & { queued_at_ms: number; error_code: string; error_message: string };

/**
 * What must keep its order among itself: what one sender says to one recipient. Lanes do not wait for each other, so a full
 * inbox holds up only the mail to it.
 */
export function laneOf({ from_agent, to_agent, to }: NewMessage): string {
  return JSON.stringify([from_agent ?? null, to_agent ?? to ?? null]);
}

/** @throws BusError `database_damaged`, `database_newer`, `storage_full`, `unavailable` */
export function openOutboxFile(file: string): OutboxFile {
  const database = guarded(file, () => openDatabase(file));
  const lock = guarded(file, () => openLock(`${file}-drain`));
  const sql = guarded(file, () => prepareAll(database));
  const transaction = (work: () => void) => guarded(file, () => inTransaction(database, work));
  let locked = false;
  return {
    add(messages, queued_at_ms) {
      transaction(() => {
        for (const message of messages) {
          const { changes } = sql.add.run(message.id, laneOf(message), JSON.stringify(message), queued_at_ms);
          if (changes === 0) requireSame(message, sql.byId.get(message.id) as Row | undefined);
        }
      });
    },
    lanes: () => guarded(file, () => (sql.lanes.all() as { lane: string }[]).map(({ lane }) => lane)),
    queued: (lane, after, limit) => guarded(file, () => (sql.queued.all(lane, after, limit) as Row[]).map(toQueued)),
    isQueued: (id, before) => guarded(file, () => sql.isQueued.get(id, before) !== undefined),
    remove(seqs) {
      transaction(() => {
        for (const seq of seqs) sql.remove.run(seq);
      });
    },
    refuse: (seq, { code, message }) => void guarded(file, () => sql.refuse.run(code, message, seq)),
    refused: (limit) => guarded(file, () => (sql.refused.all(limit) as RefusedRow[]).map(toRefused)),
    requeue: (ids) => guarded(file, () => changed(sql.requeue.run(JSON.stringify(ids ?? null)))),
    discard: (ids) => guarded(file, () => changed(sql.discard.run(JSON.stringify(ids ?? null)))),
    counts: () => guarded(file, () => toCounts(sql.counts.get())),
    lastSeq: () => guarded(file, () => (sql.lastSeq.get() as { seq: number }).seq),
    queuedUpTo: (seq) => guarded(file, () => (sql.queuedUpTo.get(seq) as { queued: number }).queued),
    version: () => guarded(file, () => (sql.version.get() as { data_version: number }).data_version),
    tryLock() {
      locked ||= guarded(file, () => takeLock(lock));
      return locked;
    },
    [Symbol.dispose]() {
      lock.close();
      database.close();
    },
  };
}

function openDatabase(file: string): DatabaseSync {
  // Only its owner may read what waits in it; SQLite gives the files beside it the same permissions.
  if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
  const database = new DatabaseSync(file, { timeout: busy_timeout_ms });
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;");
  inTransaction(database, () => {
    const { user_version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (user_version > schema_version) {
      throw new BusError(
        "database_newer",
        `the outbox ${file} was written by a newer Hivepost; update this program to use it`,
      );
    }
    if (user_version === 0) database.exec(schema);
  });
  return database;
}

/**
 * A second database whose write lock says who drains: the system lets go of it when its holder dies, however that
 * happens, and the outbox itself stays free for those who only add to it.
 */
function openLock(file: string): DatabaseSync {
  if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
  return new DatabaseSync(file, { timeout: 0 });
}

const sqlite_busy = 5;

function takeLock(lock: DatabaseSync): boolean {
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if (codeOf(error) === sqlite_busy) return false;
    throw error;
  }
}

function prepareAll(database: DatabaseSync) {
  const named = "(?1 = 'null' OR id IN (SELECT value FROM json_each(?1)))";
  return {
    add: database.prepare(
      "INSERT INTO outbox (id, lane, message, queued_at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    ),
    byId: database.prepare("SELECT seq, message FROM outbox WHERE id = ?"),
    isQueued: database.prepare("SELECT 1 FROM outbox WHERE id = ? AND seq < ? AND state = 'queued'"),
    lanes: database.prepare("SELECT DISTINCT lane FROM outbox WHERE state = 'queued'"),
    queued: database.prepare(
      "SELECT seq, message FROM outbox WHERE state = 'queued' AND lane = ? AND seq > ? ORDER BY seq LIMIT ?",
    ),
    remove: database.prepare("DELETE FROM outbox WHERE seq = ?"),
    refuse: database.prepare(
      "UPDATE outbox SET state = 'refused', error_code = ?, error_message = ? WHERE seq = ? AND state = 'queued'",
    ),
    refused: database.prepare(
      "SELECT seq, message, queued_at_ms, error_code, error_message FROM outbox WHERE state = 'refused' ORDER BY seq LIMIT ?",
    ),
    requeue: database.prepare(
      `UPDATE outbox SET state = 'queued', error_code = NULL, error_message = NULL WHERE state = 'refused' AND ${named}`,
    ),
    discard: database.prepare(`DELETE FROM outbox WHERE state = 'refused' AND ${named}`),
    counts: database.prepare(
      `SELECT count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'refused') AS refused,
              min(queued_at_ms) FILTER (WHERE state = 'queued') AS oldest_ms FROM outbox`,
    ),
    lastSeq: database.prepare("SELECT coalesce(max(seq), 0) AS seq FROM outbox"),
    queuedUpTo: database.prepare("SELECT count(*) AS queued FROM outbox WHERE state = 'queued' AND seq <= ?"),
    version: database.prepare("PRAGMA data_version"),
  };
}

function inTransaction(database: DatabaseSync, work: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function requireSame(message: QueuedMessage["message"], row: Row | undefined): void {
  if (row === undefined || sameJson(toQueued(row).message, JSON.parse(JSON.stringify(message)))) return;
  throw new BusError(
    "idempotency_conflict",
    `the outbox holds another message with the id ${message.id}; an id names one message for ever`,
  );
}

function toQueued({ seq, message }: Row): QueuedMessage {
  // Written by `add` and by nobody else.
  return { seq, message: JSON.parse(message) as QueuedMessage["message"] };
}

function toRefused({ seq, message, queued_at_ms, error_code, error_message }: RefusedRow): RefusedMessage {
  return {
    message: toQueued({ seq, message }).message,
    queued_at_ms,
    error: { code: error_code, message: error_message },
  };
}

function toCounts(row: unknown): OutboxCounts {
  const { queued, refused, oldest_ms } = row as { queued: number; refused: number; oldest_ms: number | null };
  return { queued, refused, oldest_ms: oldest_ms ?? undefined };
}

function changed({ changes }: { changes: number | bigint }): number {
  return Number(changes);
}

function codeOf(error: unknown): number | undefined {
  return (error as { errcode?: number }).errcode;
}

/** SQLite's result codes as the errors of our contract. */
function guarded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof BusError) throw cause;
    const message = `the outbox ${file}: ${(cause as Error).message}`;
    // The low byte is the primary code: https://sqlite.org/rescode.html
    switch ((codeOf(cause) ?? 0) & 0xff) {
      case 5:
        throw new BusError("unavailable", `${message}; another process is writing to it for too long`, { cause });
      case 11:
      case 26:
        throw new BusError("database_damaged", `${message}; move it away to start a new one`, { cause });
      case 13:
        throw new BusError("storage_full", `${message}; free some space, then send again`, { cause });
      default:
        throw new BusError("unavailable", message, { cause });
    }
  }
}
