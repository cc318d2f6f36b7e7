import { setPriority } from "node:os";
import { setTimeout } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../base/invariant.ts";
import type { CipherKeys } from "../../crypto/key-ring.ts";
import { createVault } from "../../crypto/vault.ts";
import { openConnection } from "./connection.ts";
import { failureOf, isDamage, toWireError } from "./failure.ts";
import type { Progress } from "./index-file.ts";
import { type IndexedRow, indexedColumns, openIndexForWriting } from "./index-writing.ts";
import type { FromIndexer, IndexerOptions, ToIndexer } from "./indexer-protocol.ts";
import { prepare } from "./statement.ts";

/*
 * The indexer thread: follows the event log and enters every new message in index.db. Nobody waits for it. What it has not
 * reached yet, searches find directly; so it may be late, and it lets the threads that mail waits for go first.
 */

/** How many events are gone through at a time: some thousand messages, a tenth of a second of work. */
const eventsAtOnce = 6_000;
/**
 * How long it rests after each round. What it enters in one go costs a third of what it costs piece by piece (measured
 * 2026-11: 178 microseconds a message one at a time, 48 by 200, 37 by 1,000), and searches find the rest without it.
 */
const rest_ms = 250;
/** A round that took longer than this many times its CPU time had to wait for a processor, which mail needs more. */
const undisturbed = 1.2;
/** After an error (a full disk, say). */
const retry_ms = 2_000;
/** An index of which more than half is forgotten, and that is not small anyway, is made anew. */
const smallIndex = 10_000;
/** Niceness of this thread: under load it gets about a tenth of what the others get. */
const niceness = 10;

invariant(parentPort, "this file is the start of a worker thread");
const port = parentPort;
const { file, index_file } = workerData as IndexerOptions; // The main thread starts this with just that.

lowerPriority();
const db = openConnection(file, "reader");
const vault = createVault((bytes) => crypto.getRandomValues(bytes));
const index = openIndexForWriting(index_file, vault, (reason) => tell({ rebuilding: reason }));
const arrived = "event IN ('accepted', 'imported')";
const sql = {
  upTo: prepare<{ position: number; at_ms: number }>(
    db,
    `SELECT position, at_ms FROM (SELECT position, at_ms FROM events WHERE position > ? ORDER BY position LIMIT ?)
     ORDER BY position DESC LIMIT 1`,
  ),
  arrivals: prepare<{ message_position: number }>(
    db,
    `SELECT message_position FROM events WHERE position > ? AND position <= ? AND ${arrived} ORDER BY position`,
  ),
  eventAt: prepare<{ at_ms: number }>(db, "SELECT at_ms FROM events WHERE position = ?"),
  last: prepare<{ position: number | null }>(db, "SELECT MAX(position) AS position FROM events"),
  message: prepare<IndexedRow>(db, `SELECT ${indexedColumns} FROM messages AS m WHERE m.position = ?`),
  backlog: prepare<{ messages: number }>(
    db,
    `SELECT COUNT(*) AS messages FROM events WHERE position > ? AND ${arrived}`,
  ),
};
if (!isOfThisHive()) rebuild("the database is not the one it was made from");
let isClosing = false;
const closing = new AbortController();
let wake: (() => void) | undefined;
tell({ ready: { backlog: sql.backlog.get(index.progress().event_position)?.messages ?? 0 } });
let stopped: Promise<void> | undefined;

port.on("message", (message: ToIndexer) => {
  if ("close" in message) void close();
  else if ("use" in message) unlock(message.use);
  else if ("forgotten" in message) forget(message.forgotten);
  else if ("rebuild" in message) rebuild(message.rebuild);
  wake?.();
});

function unlock(keys: CipherKeys): void {
  vault.use(keys);
  tell({ unlocked: true });
  stopped ??= work();
}

async function work(): Promise<void> {
  while (!isClosing) {
    const took = stopwatch();
    const found = readNew(index.progress());
    if (!found) {
      tell({ asleep: true });
      await woken();
    } else if (enter(found)) {
      await rest(restAfter(took()));
    } else {
      await Promise.race([setTimeout(retry_ms, undefined, { ref: false }), woken()]);
    }
  }
}

type Took = { readonly wall_ms: number; readonly cpu_ms: number };

function stopwatch(): () => Took {
  const start_ms = performance.now();
  const before = process.threadCpuUsage();
  return () => {
    const { user, system } = process.threadCpuUsage(before); // Microseconds.
    return { wall_ms: performance.now() - start_ms, cpu_ms: (user + system) / 1_000 };
  };
}

/** Where mail needs the processors, it rests for as long as it worked. */
function restAfter({ wall_ms, cpu_ms }: Took): number {
  return wall_ms > undisturbed * cpu_ms + 1 ? Math.max(rest_ms, wall_ms) : rest_ms;
}

/** Ends early only when the thread is to close. */
async function rest(ms: number): Promise<void> {
  await setTimeout(ms, undefined, { signal: closing.signal }).catch(() => undefined);
}

function woken(): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve;
  });
}

type Found = Pick<Progress, "event_position" | "event_at_ms" | "message_position"> & {
  readonly messages: readonly IndexedRow[];
};

/** The next events and the messages they brought; undefined where there are none. */
function readNew({ event_position, message_position: before }: Progress): Found | undefined {
  const upTo = sql.upTo.get(event_position, eventsAtOnce);
  if (!upTo) return undefined;
  const arrivals = sql.arrivals.all(event_position, upTo.position).map((it) => it.message_position);
  // A message to many has as many such events in a row.
  const positions = new Set(arrivals.filter((it) => it !== before));
  // The index takes them fastest in their own order, in which only imported ones do not come.
  const rows = [...positions].sort((a, b) => a - b).map((it) => sql.message.get(it));
  return {
    messages: rows.filter((row) => row !== undefined),
    message_position: arrivals.at(-1) ?? before,
    event_position: upTo.position,
    event_at_ms: upTo.at_ms,
  };
}

/** @returns Whether they are in the index now. */
function enter({ messages, ...upTo }: Found): boolean {
  try {
    index.add(messages, upTo);
    if (messages.length > 0) tell({ indexed: messages.length });
    return true;
  } catch (error) {
    tell({ error: toWireError(error) });
    if (isDamage(error)) rebuild(error instanceof Error ? error.message : String(error));
    else if (failureOf(error) !== "full") throw error;
    return false;
  }
}

/** A database that was put back from a backup has other events where the index has been. */
function isOfThisHive(): boolean {
  const { event_position, event_at_ms } = index.progress();
  if (event_position === 0) return true;
  if (event_position > (sql.last.get()?.position ?? 0)) return false;
  const event = sql.eventAt.get(event_position);
  return event === undefined || event.at_ms === event_at_ms; // Undefined: forgotten since.
}

function forget(messages: number): void {
  index.noteForgotten(messages);
  const { indexed, forgotten } = index.progress();
  if (indexed > smallIndex && forgotten > indexed / 2) rebuild("most of it is forgotten");
}

function rebuild(reason: string): void {
  tell({ rebuilding: reason });
  index.rebuild();
}

function lowerPriority(): void {
  // On Linux this concerns the calling thread alone; elsewhere it would slow the whole process down.
  if (process.platform === "linux") setPriority(0, niceness);
}

function tell(message: FromIndexer): void {
  port.postMessage(message);
}

async function close(): Promise<void> {
  isClosing = true;
  closing.abort();
  wake?.();
  await stopped;
  index.close();
  db.close();
  tell({ closed: true });
  port.close();
}
