import path from "node:path";
import type { AuditHead, Store } from "../../app/ports.ts";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";
import { createVault } from "../../crypto/vault.ts";
import { type CommitQueue, createCommitQueue } from "./commit-queue.ts";
import { openConnection } from "./connection.ts";
import type { StoreContext } from "./context.ts";
import { conversationStore } from "./conversations.ts";
import { writeSum } from "./damage.ts";
import { deliveryStore } from "./deliveries.ts";
import { createEngine } from "./engine.ts";
import { type Bell, createBell, eventLog } from "./event-log.ts";
import { fleetStore, loadAgents } from "./fleet.ts";
import { historyStore } from "./history.ts";
import { indexName } from "./index-file.ts";
import { createIndexerClient, type IndexerClient } from "./indexer-client.ts";
import type { FromIndexer, IndexerOptions, ToIndexer } from "./indexer-protocol.ts";
import { storeKeys } from "./keys.ts";
import { loadOpenDeliveries } from "./load.ts";
import { lockFolder } from "./lock.ts";
import { createLookups } from "./lookups.ts";
import { createMeasures, type Measures } from "./measures.ts";
import { makeFolder, prepareDatabase, requireSafeSqlite } from "./open.ts";
import { steadyClock } from "./open-delivery.ts";
import { unpackAnswer } from "./packing.ts";
import type { CheckpointerOptions, FromCheckpointer, FromWriter, ToWriter, WriterOptions } from "./protocol.ts";
import { createReaderClient, type ReaderClient } from "./reader-client.ts";
import type { FromReader, ReaderOptions, ToReader } from "./reader-protocol.ts";
import { readMetaText } from "./schema.ts";
import { startThread, type Thread } from "./threads.ts";
import { loadTokens, tokenStore } from "./tokens.ts";

export type SqliteStoreOptions = {
  /** The data folder; made where it is missing. */
  readonly folder: string;
  readonly clock: Clock;
  readonly policy: DeliveryPolicy;
  readonly log: Log;
  /** Whoever owns the clock calls `history.prune`; the store itself forgets nothing. */
  readonly retention_ms: number;
  /** The store can promise nothing any more (the disk failed): every call is refused, and the process should end. */
  readonly onFatal?: (error: Error) => void;
};

/**
 * The store of one server: a database that survives the loss of power, and an engine in memory that hands out mail. What
 * was said lies there sealed: before anything is sent, searched or handed out, `keys.use` must have given it its keys.
 *
 * @throws BusError `sqlite_unsafe`, `data_dir_in_use`, `database_newer`, `database_damaged`.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  requireSafeSqlite(process.versions["sqlite"] ?? "0");
  makeFolder(options.folder);
  const opened = new AsyncDisposableStack();
  try {
    opened.use(lockFolder(options.folder));
    return await openLocked(options, opened);
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** @param opened Owns whatever is opened, so that all of it is closed in the opposite order, now or in the end. */
async function openLocked(options: SqliteStoreOptions, opened: AsyncDisposableStack): Promise<Store> {
  const { folder, policy } = options;
  const clock = steadyClock(options.clock);
  const { file, generation } = await prepareDatabase(folder);
  const failure = createFailure(options);
  opened.defer(async () => {
    if (!failure.hasHappened()) await writeSum(file);
  });
  const bell = createBell();
  const measures = createMeasures();
  const vault = createVault((bytes) => crypto.getRandomValues(bytes));
  const lookups = createLookups(openConnection(file, "reader"), vault);
  opened.defer(async () => lookups.close());
  const index_file = path.join(folder, indexName);
  const { queue, writer } = startWriter({ file, policy, bell, measures, failure });
  opened.defer(writer.close);
  const checkpointer = startCheckpointer(file, measures, failure);
  opened.defer(checkpointer.close);
  const { indexer, indexerThread } = startIndexer({ file, index_file, log: options.log });
  opened.defer(indexerThread.close);
  const { reader, readerThread } = startReader({ file, index_file, failure, indexer });
  opened.defer(readerThread.close);
  const engine = createEngine(clock, policy);
  const counts = { accepted: 0, delivered: 0, acknowledged: 0, redelivered: 0, rejected: 0, dead: 0 };
  const context: StoreContext = { clock, policy, engine, queue, lookups, reader, indexer, vault, counts, generation };
  lookups.load((db) => loadOpenDeliveries(db, context, { with_aging: policy.aging_ms !== undefined }));
  const agents = lookups.load(loadAgents);
  const tokens = lookups.load(loadTokens);
  const others = [readerThread.ready, checkpointer.ready];
  const [writerReady, indexerReady] = await Promise.all([writer.ready, indexerThread.ready, ...others]);
  if ("ready" in writerReady) bell.ring(writerReady.ready.last_event);
  indexer.receive(indexerReady);
  opened.defer(() => queue.barrier());
  return {
    deliveries: deliveryStore(context),
    history: historyStore(context),
    conversations: conversationStore(context),
    events: eventLog(context, bell),
    fleet: fleetStore(context, agents),
    tokens: tokenStore(context, tokens),
    keys: storeKeys(context, vault),
    auditHead: auditHead(context),
    status: async () => measures.statusOf(context, file),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function auditHead({ queue, lookups }: StoreContext): AuditHead {
  return {
    read: async () => lookups.load((db) => readMetaText(db, "audit_head")),
    write: (head) => queue.submit({ operation: "keep_audit_head", head }, { apply: () => undefined }),
  };
}

type Failure = { hasHappened(): boolean; happen(error: Error): void; onceHappened(tell: (error: Error) => void): void };

/** The end of the store before its time: told once, to everyone who must know. */
function createFailure({ log, onFatal }: SqliteStoreOptions): Failure {
  let hasHappened = false;
  const listeners: ((error: Error) => void)[] = [];
  return {
    hasHappened: () => hasHappened,
    happen(error) {
      if (hasHappened) return;
      hasHappened = true;
      log.error({ err: error }, "the store has stopped: nothing is accepted any more");
      for (const tell of listeners) tell(error);
      onFatal?.(error);
    },
    onceHappened: (tell) => listeners.push(tell),
  };
}

function startWriter(about: {
  file: string;
  policy: DeliveryPolicy;
  bell: Bell;
  measures: Measures;
  failure: Failure;
}): {
  queue: CommitQueue;
  writer: Thread<ToWriter, FromWriter>;
} {
  const { file, policy, bell, measures, failure } = about;
  const writer = startThread<ToWriter, FromWriter>("writer", {
    data: { file, policy } satisfies WriterOptions,
    receive(message) {
      if ("answer" in message) queue.receive(unpackAnswer(message.answer));
      else if ("checkpoint_ms" in message) measures.observe("checkpoint_ms", message.checkpoint_ms);
    },
    broken: failure.happen,
  });
  const queue = createCommitQueue(writer.post, {
    committed({ size, commit_ms, last_event, wal_size_bytes }) {
      measures.observe("commit_batch_size", size);
      if (commit_ms !== undefined) measures.observe("fsync_ms", commit_ms);
      measures.set("wal_size_bytes", wal_size_bytes);
      bell.ring(last_event);
    },
    accepted: (accept_ms) => measures.observe("accept_ms", accept_ms),
    broken: failure.happen,
  });
  failure.onceHappened(queue.breakDown);
  return { queue, writer };
}

function startCheckpointer(file: string, measures: Measures, failure: Failure): Thread<never, FromCheckpointer> {
  return startThread<never, FromCheckpointer>("checkpointer", {
    data: { file } satisfies CheckpointerOptions,
    receive(message) {
      if ("checkpoint_ms" in message) measures.observe("checkpoint_ms", message.checkpoint_ms);
    },
    broken: failure.happen,
  });
}

function startReader({
  file,
  index_file,
  failure,
  indexer,
}: ReaderOptions & { failure: Failure; indexer: IndexerClient }): {
  reader: ReaderClient;
  readerThread: Thread<ToReader, FromReader>;
} {
  const readerThread = startThread<ToReader, FromReader>("reader", {
    data: { file, index_file } satisfies ReaderOptions,
    receive(message) {
      if ("id" in message) reader.receive(message);
      else if ("index_damaged" in message) indexer.rebuild(message.index_damaged);
    },
    broken: failure.happen,
  });
  const reader = createReaderClient(readerThread.post);
  failure.onceHappened(reader.breakDown);
  return { reader, readerThread };
}

function startIndexer({ log, ...data }: IndexerOptions & { log: Log }): {
  indexer: IndexerClient;
  indexerThread: Thread<ToIndexer, FromIndexer>;
} {
  const indexerThread = startThread<ToIndexer, FromIndexer>("indexer", {
    data: data satisfies IndexerOptions,
    receive: (message) => indexer.receive(message),
    broken: (error) => indexer.breakDown(error),
  });
  const indexer = createIndexerClient(indexerThread.post, log);
  return { indexer, indexerThread };
}
