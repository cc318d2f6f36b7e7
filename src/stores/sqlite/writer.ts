import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../base/invariant.ts";
import { openConnection } from "./connection.ts";
import { toWireError } from "./failure.ts";
import type { FromWriter, ToWriter, WriterOptions } from "./protocol.ts";
import { prepare } from "./statement.ts";
import { createBatchRunner } from "./writer-batch.ts";
import { createWriterOperations } from "./writer-operations.ts";
import { createWriterState } from "./writer-state.ts";

/*
 * The writer thread: the one connection that writes the hive. It takes batches, answers each after its COMMIT, and copies
 * the write-ahead log back into the database (a checkpoint) between batches, never within one.
 */

/** Beyond this much in the log, a checkpoint is made even while batches wait. Larger is rarer but longer. */
const checkpointAt_bytes = 64 * 1_024 * 1_024;
/** A quiet moment is used for what would otherwise wait. */
const idle_ms = 500;
const page_bytes = 4_096;
/** A log file larger than this is cut when there is time. */
const keepLog_bytes = 128 * 1_024 * 1_024;

invariant(parentPort, "this file is the start of a worker thread");
const port = parentPort;
const { file, policy } = workerData as WriterOptions; // The main thread starts this with just that.

const db = openConnection(file, "writer");
const walState = prepare<{ busy: number; log: number; checkpointed: number }>(db, "PRAGMA wal_checkpoint(NOOP)");
const state = createWriterState(db, policy);
const runBatch = createBatchRunner(state, createWriterOperations(state), walSizeBytes);
const idleTimer = setTimeout(useQuietMoment, idle_ms);
tell({ ready: { last_event: state.lastEvent() } });

port.on("message", (message: ToWriter) => {
  if ("close" in message) return close();
  tell({ answer: runBatch(message.batch) });
  if (walSizeBytes() > checkpointAt_bytes) checkpoint("PASSIVE");
  idleTimer.refresh();
});

function tell(message: FromWriter): void {
  port.postMessage(message);
}

/** What has not been copied back yet. The file itself stays as large as it ever was until it is cut. */
function walSizeBytes(): number {
  const wal = walState.get();
  return wal && wal.log > wal.checkpointed ? (wal.log - wal.checkpointed) * page_bytes : 0;
}

function useQuietMoment(): void {
  const wal = walState.get();
  if (!wal) return;
  if (wal.log * page_bytes > keepLog_bytes) checkpoint("TRUNCATE");
  else if (wal.log > wal.checkpointed) checkpoint("PASSIVE");
}

/** A failure (a full disk, say) is no harm: everything stays in the log, and the next checkpoint tries again. */
function checkpoint(mode: "PASSIVE" | "TRUNCATE"): void {
  const start_ms = performance.now();
  try {
    db.exec(`PRAGMA wal_checkpoint(${mode})`);
    tell({ checkpoint_ms: performance.now() - start_ms });
  } catch (error) {
    tell({ checkpoint_ms: performance.now() - start_ms, error: toWireError(error) });
  }
}

function close(): void {
  clearTimeout(idleTimer);
  checkpoint("TRUNCATE");
  db.close();
  tell({ closed: true });
  port.close();
}
