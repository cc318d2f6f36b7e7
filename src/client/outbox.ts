import { systemClock } from "../base/clock.ts";
import { BusError } from "../contract/errors.ts";
import type { MessageId, NewMessage } from "../contract/messages.ts";
import { type Drain, startDrain } from "./drain-node.ts";
import { newMessageId } from "./new-id.ts";
import { type OutboxCounts, type OutboxFile, openOutboxFile, type RefusedMessage } from "./outbox-file-node.ts";
import type { Plain } from "./plain.ts";
import type { Client } from "./remote-bus.ts";
import { findOutboxKeyFile } from "./settings-node.ts";

export type { OutboxCounts, RefusedMessage } from "./outbox-file-node.ts";

export type OutboxOptions = {
  /**
   * An SQLite file, made readable by its owner alone; several processes may share it. What messages say, and what the server
   * says to them, lies encrypted in it; ids, senders, recipients and times do not.
   */
  readonly file: string;
  /**
   * The file of the key, in another folder; made at the first use, readable by its owner alone. Else
   * `HIVEPOST_OUTBOX_KEY_FILE`, else `hivepost/outbox.key` in the user's configuration folder. Without it nothing that waits
   * can be read.
   */
  readonly key_file?: string;
  readonly client: Pick<Client, "sendMessage" | "getMessage">;
  /** Messages it holds at most. Default 100,000. */
  readonly limit?: number;
  /** Longest pause between two tries of a message that the server cannot take just now. Default 10,000. */
  readonly retry_max_ms?: number;
};

export type OutboxStatus = OutboxCounts & {
  /** Why what is queued does not go out, as far as this process has tried. */
  readonly last_error: string | undefined;
};

export type Queued = { readonly id: MessageId; readonly queued: true };

/**
 * Takes messages whether the server is there or not, and hands them over once each: what one sender says to one recipient
 * in its order. Disposing it leaves what is still queued on disk, for the next one who opens the file.
 */
export type Outbox = AsyncDisposable & {
  /**
   * Resolves when the message is on this machine's disk. What the server says to it shows in `refused`.
   *
   * @throws BusError `unavailable` when the outbox is full, `storage_full` when the disk is, `idempotency_conflict` for an
   * id that is in use.
   */
  send(message: Plain<NewMessage>): Promise<Queued>;
  /** How many messages wait, how many were refused, and since when the oldest waits. */
  status(): OutboxStatus;
  /** Messages that the server will not take, with its reason: the oldest first. */
  refused(limit?: number): readonly RefusedMessage[];
  /** Tries refused messages again, or drops them: those named, or all. Returns how many. */
  requeue(ids?: readonly string[]): number;
  discard(ids?: readonly string[]): number;
  /** Waits until all that is queued now was handed over or refused. Resolves after `timeout_ms` in any case. */
  flush(options?: { readonly timeout_ms?: number }): Promise<OutboxStatus>;
};

const default_limit = 100_000;
const default_retry_max_ms = 10_000;
const default_page = 1_000;
const default_flush_ms = 10_000;
/** How often `flush` looks; another process may be the one that drains. */
const look_ms = 10;

/**
 * @throws BusError `database_damaged`, `database_newer`, `storage_full`, `unavailable`: the file cannot be used;
 * `key_unavailable`: the key is missing or is not the one it was sealed with. Then nothing was touched.
 */
export function openOutbox({
  file: path,
  key_file,
  client,
  limit = default_limit,
  retry_max_ms,
}: OutboxOptions): Outbox {
  const file = openOutboxFile(path, findOutboxKeyFile(key_file));
  const drain = startDrain(file, client, retry_max_ms ?? default_retry_max_ms);
  const adder = createAdder({ file, drain, path, limit });
  return {
    send: adder.send,
    status: () => statusOf(file, drain),
    refused: (page = default_page) => file.refused(page),
    requeue(ids) {
      const count = file.requeue(ids);
      drain.wake();
      return count;
    },
    discard: (ids) => file.discard(ids),
    flush: ({ timeout_ms = default_flush_ms } = {}) => flush(file, drain, timeout_ms),
    async [Symbol.asyncDispose]() {
      adder.close();
      await drain[Symbol.asyncDispose]();
      file[Symbol.dispose]();
    },
  };
}

type Due = {
  message: NewMessage & { id: MessageId };
  resolve: (queued: Queued) => void;
  reject: (error: unknown) => void;
};

/** Messages of one turn share one transaction, and so one wait for the disk. */
function createAdder({ file, drain, path, limit }: { file: OutboxFile; drain: Drain; path: string; limit: number }) {
  let due: Due[] = [];
  let queued = file.counts().queued;
  let closed = false;

  function requireRoom(): void {
    if (queued < limit) return;
    // Others drain and add as well: look before refusing.
    queued = file.counts().queued + due.length;
    if (queued < limit) return;
    throw new BusError(
      "unavailable",
      `the outbox ${path} holds ${queued} messages; nothing more fits until some are sent`,
    );
  }

  function commit(): void {
    const batch = due;
    due = [];
    if (batch.length === 0) return;
    try {
      addAll(file, batch);
    } finally {
      drain.wake();
    }
  }

  async function send(message: Plain<NewMessage>): Promise<Queued> {
    if (closed) throw new BusError("unavailable", `the outbox ${path} has been closed; open it again to send`);
    requireRoom();
    queued += 1;
    const { promise, resolve, reject } = Promise.withResolvers<Queued>();
    // The server checks the fields; here they only wait.
    const named = { ...message, id: message.id ?? newMessageId() } as Due["message"];
    if (due.push({ message: named, resolve, reject }) === 1) setImmediate(commit);
    return promise;
  }

  function close(): void {
    closed = true;
    commit();
  }
  return { send, close };
}

/** All in one transaction; where one of them cannot be added, each by itself, so that only that one fails. */
function addAll(file: OutboxFile, batch: readonly Due[]): void {
  try {
    file.add(
      batch.map((it) => it.message),
      systemClock.now(),
    );
    for (const { message, resolve } of batch) resolve({ id: message.id, queued: true });
  } catch (error) {
    const [only, ...others] = batch;
    if (only && others.length === 0) only.reject(error);
    else for (const each of batch) addAll(file, [each]);
  }
}

async function flush(file: OutboxFile, drain: Drain, timeout_ms: number): Promise<OutboxStatus> {
  // What was sent in this turn is not in the file before its end.
  await new Promise((resolve) => setImmediate(resolve));
  const last = file.lastSeq();
  const deadline_ms = systemClock.elapsed() + timeout_ms;
  drain.wake();
  for (;;) {
    drain.forgetSent();
    if (file.queuedUpTo(last) === 0 || systemClock.elapsed() >= deadline_ms) return statusOf(file, drain);
    await new Promise((resolve) => setTimeout(resolve, look_ms));
  }
}

function statusOf(file: OutboxFile, drain: Drain): OutboxStatus {
  const error = drain.lastError();
  return { ...file.counts(), last_error: error instanceof Error ? error.message : undefined };
}
