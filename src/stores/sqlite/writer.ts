import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../base/invariant.ts";
import { createVault } from "../../crypto/vault.ts";
import { openConnection } from "./connection.ts";
import { toWireError } from "./failure.ts";
import { packAnswer, unpackBatch } from "./packing.ts";
import type { FromWriter, ToWriter, WriterOptions } from "./protocol.ts";
import { logSize } from "./wal.ts";
import { createBatchRunner } from "./writer-batch.ts";
import { createWriterOperations } from "./writer-operations.ts";
import { createMeteredCipher } from "./writer-seals.ts";
import { createWriterState } from "./writer-state.ts";

/*
 * The writer thread: the one connection that writes the hive. It takes batches and answers each after its COMMIT. Copying
 * the write-ahead log back into the database (a checkpoint) is mostly the checkpointer's work; here only its last piece,
 * between batches, so that the log can begin anew.
 */

/** A log this long is to begin anew as soon as little enough is left to copy. */
const longLog_bytes = 32 * 1_024 * 1_024;
const lastPiece_bytes = 4 * 1_024 * 1_024;
/** With this much left the checkpointer does not keep up: then batches wait for all of it. */
const tooMuch_bytes = 512 * 1_024 * 1_024;
/** A quiet moment is used for what would otherwise wait. */
const idle_ms = 500;
/** A log file larger than this is cut when there is time. */
const keepLog_bytes = 128 * 1_024 * 1_024;

invariant(parentPort, "this file is the start of a worker thread");
const port = parentPort;
const { file, policy } = workerData as WriterOptions; // The main thread starts this with just that.

const db = openConnection(file, "writer");
const vault = createVault((bytes) => crypto.getRandomValues(bytes));
const meter = createMeteredCipher(db, vault);
const state = createWriterState(db, policy, meter.cipher);
const runBatch = createBatchRunner(state, createWriterOperations(state, { vault, meter }), walSizeBytes);
const idleTimer = setTimeout(useQuietMoment, idle_ms);
tell({ ready: { last_event: state.lastEvent() } });

port.on("message", (message: ToWriter) => {
  if ("close" in message) return close();
  tell({ answer: packAnswer(runBatch(unpackBatch(message.batch))) });
  if (isTimeToBeginAnew()) checkpoint("PASSIVE");
  idleTimer.refresh();
});

function tell(message: FromWriter): void {
  port.postMessage(message);
}

/** What has not been copied back yet. The file itself stays as large as it ever was until it is cut. */
function walSizeBytes(): number {
  return logSize(db).to_copy_bytes;
}

function isTimeToBeginAnew(): boolean {
  const { log_bytes, to_copy_bytes } = logSize(db);
  return (log_bytes > longLog_bytes && to_copy_bytes < lastPiece_bytes) || to_copy_bytes > tooMuch_bytes;
}

function useQuietMoment(): void {
  const { log_bytes, to_copy_bytes } = logSize(db);
  if (log_bytes > keepLog_bytes) checkpoint("TRUNCATE");
  else if (to_copy_bytes > 0) checkpoint("PASSIVE");
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
