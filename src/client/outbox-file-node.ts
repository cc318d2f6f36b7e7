import type { DatabaseSync } from "node:sqlite";
import { sameJson } from "../base/json.ts";
import { BusError } from "../contract/errors.ts";
import type { MessageId, NewMessage } from "../contract/messages.ts";
import type { OutboxCipher } from "./outbox-cipher-node.ts";
import { inTransaction, openDatabase, openPrivate } from "./outbox-database-node.ts";

/** A message as it waits: its id is fixed, so that sending it twice is the same as sending it once. */
export type QueuedMessage = {
  /** Order of acceptance in this outbox. */
  readonly seq: number;
  readonly message: NewMessage & { readonly id: MessageId };
};

/** A message whose bytes in the file are not as they were sealed, so that nobody can send it. */
export type DamagedMessage = { readonly seq: number; readonly id: MessageId; readonly damage: BusError };

/** A message that the server will not take, however often it is sent, or that was damaged in the file. */
export type RefusedMessage = {
  /** The id alone where the rest was damaged. */
  readonly message: Partial<NewMessage> & { readonly id: MessageId };
  readonly queued_at_ms: number;
  readonly error: { readonly code: string; readonly message: string };
};

export type OutboxCounts = {
  readonly queued: number;
  readonly refused: number;
  readonly oldest_ms: number | undefined;
};

/** The messages of an outbox, in an SQLite file that several processes may share; what they say lies sealed in it. */
export type OutboxFile = Disposable & {
  /** Adds messages, on disk when it returns. Those that are there already stay as they are. */
  add(messages: readonly QueuedMessage["message"][], queued_at_ms: number): void;
  /** Lanes that have something queued. */
  lanes(): readonly string[];
  /** What is queued in a lane after `seq`, the oldest first. */
  queued(lane: string, after: number, limit: number): readonly (QueuedMessage | DamagedMessage)[];
  /** Whether a message is queued that came before number `before`. */
  isQueued(id: string, before: number): boolean;
  /** Forgets messages that the server has. */
  remove(seqs: readonly number[]): void;
  refuse(place: { readonly seq: number; readonly id: string }, error: { code: string; message: string }): void;
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

type Row = { seq: number; id: MessageId; sealed_message: Uint8Array };
type RefusedRow = Row & { queued_at_ms: number; error_code: string; sealed_error: Uint8Array };

/**
 * What must keep its order among itself: what one sender says to one recipient. Lanes do not wait for each other, so a full
 * inbox holds up only the mail to it.
 */
export function laneOf({ from_agent, to_agent, to }: NewMessage): string {
  return JSON.stringify([from_agent ?? null, to_agent ?? to ?? null]);
}

/**
 * @param key_file Holds the key, which is made where nothing was sealed yet.
 * @throws BusError `database_damaged`, `database_newer`, `key_unavailable`, `storage_full`, `unavailable`
 */
export function openOutboxFile(file: string, key_file: string): OutboxFile {
  const { database, cipher } = guarded(file, () => openDatabase(file, key_file));
  // A second database whose write lock says who drains: the system lets go of it when its holder dies, however that happens, and
  // the outbox itself stays free for those who only add to it.
  const lock = guarded(file, () => openPrivate(`${file}-drain`, 0));
  const sql = guarded(file, () => prepareAll(database));
  const transaction = (work: () => void) => guarded(file, () => inTransaction(database, work));
  let locked = false;
  return {
    add(messages, queued_at_ms) {
      transaction(() => {
        for (const message of messages) {
          const sealed = cipher.seal(message.id, "message", JSON.stringify(message));
          const { changes } = sql.add.run(message.id, laneOf(message), sealed, queued_at_ms);
          if (changes === 0) requireSame(cipher, message, sql.byId.get(message.id) as Row | undefined);
        }
      });
    },
    lanes: () => guarded(file, () => (sql.lanes.all() as { lane: string }[]).map(({ lane }) => lane)),
    queued: (lane, after, limit) =>
      guarded(file, () => (sql.queued.all(lane, after, limit) as Row[]).map((it) => toQueued(cipher, it))),
    isQueued: (id, before) => guarded(file, () => sql.isQueued.get(id, before) !== undefined),
    remove(seqs) {
      transaction(() => {
        for (const seq of seqs) sql.remove.run(seq);
      });
    },
    refuse: ({ seq, id }, { code, message }) =>
      void guarded(file, () => sql.refuse.run(code, cipher.seal(id, "refusal", message), seq)),
    refused: (limit) =>
      guarded(file, () => (sql.refused.all(limit) as RefusedRow[]).map((it) => toRefused(cipher, it))),
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
      "INSERT INTO outbox (id, lane, sealed_message, queued_at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    ),
    byId: database.prepare("SELECT seq, id, sealed_message FROM outbox WHERE id = ?"),
    isQueued: database.prepare("SELECT 1 FROM outbox WHERE id = ? AND seq < ? AND state = 'queued'"),
    lanes: database.prepare("SELECT DISTINCT lane FROM outbox WHERE state = 'queued'"),
    queued: database.prepare(
      "SELECT seq, id, sealed_message FROM outbox WHERE state = 'queued' AND lane = ? AND seq > ? ORDER BY seq LIMIT ?",
    ),
    remove: database.prepare("DELETE FROM outbox WHERE seq = ?"),
    refuse: database.prepare(
      "UPDATE outbox SET state = 'refused', error_code = ?, sealed_error = ? WHERE seq = ? AND state = 'queued'",
    ),
    refused: database.prepare(
      "SELECT seq, id, sealed_message, queued_at_ms, error_code, sealed_error FROM outbox WHERE state = 'refused' ORDER BY seq LIMIT ?",
    ),
    requeue: database.prepare(
      `UPDATE outbox SET state = 'queued', error_code = NULL, sealed_error = NULL WHERE state = 'refused' AND ${named}`,
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

function requireSame(cipher: OutboxCipher, message: QueuedMessage["message"], row: Row | undefined): void {
  if (row === undefined) return;
  const there = toQueued(cipher, row);
  if ("damage" in there) throw there.damage;
  if (sameJson(there.message, JSON.parse(JSON.stringify(message)))) return;
  throw new BusError(
    "idempotency_conflict",
    `the outbox holds another message with the id ${message.id}; an id names one message for ever`,
  );
}

function toQueued(cipher: OutboxCipher, { seq, id, sealed_message }: Row): QueuedMessage | DamagedMessage {
  const text = cipher.open(id, "message", sealed_message);
  // What opens was written by `add` and by nobody else.
  if (text !== undefined) return { seq, message: JSON.parse(text) as QueuedMessage["message"] };
  const wayOut = "discard it there, and ask its sender for it again";
  const damage = `message ${id} in the outbox is not as it was sealed, so it cannot be sent; ${wayOut}`;
  return { seq, id, damage: new BusError("content_damaged", damage) };
}

function toRefused(cipher: OutboxCipher, row: RefusedRow): RefusedMessage {
  const { id, queued_at_ms, error_code: code, sealed_error } = row;
  const queued = toQueued(cipher, row);
  return {
    message: "damage" in queued ? { id } : queued.message,
    queued_at_ms,
    error: { code, message: cipher.open(id, "refusal", sealed_error) ?? "what the server said was damaged" },
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
