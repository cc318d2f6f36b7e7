import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../base/invariant.ts";
import { openConnection } from "./connection.ts";
import { toWireError } from "./failure.ts";
import type { CheckpointerOptions, FromCheckpointer } from "./protocol.ts";
import { logSize } from "./wal.ts";

/*
 * The checkpointer thread: copies the write-ahead log back into the database while the writer goes on writing, so that no
 * COMMIT waits for it. The last piece, after which the log begins anew, is the writer's: only between two of its own
 * transactions is the log ever wholly copied.
 *
 * SQLite before 3.51.3 could corrupt a database this way; open.ts refuses those.
 */

/** How often it looks, and how much must stand in the log for it to begin. */
const look_ms = 50;
const worthwhile_bytes = 4 * 1_024 * 1_024;

invariant(parentPort, "this file is the start of a worker thread");
const port = parentPort;
const { file } = workerData as CheckpointerOptions; // The main thread starts this with just that.

const db = openConnection(file, "checkpointer");
const timer = setInterval(look, look_ms);
tell({ ready: true });

port.on("message", () => {
  clearInterval(timer);
  db.close();
  port.close();
});

function look(): void {
  const start_ms = performance.now();
  try {
    if (logSize(db).to_copy_bytes < worthwhile_bytes) return;
    db.exec("PRAGMA wal_checkpoint(PASSIVE)");
    tell({ checkpoint_ms: performance.now() - start_ms });
  } catch (error) {
    // No harm (a full disk, say): everything stays in the log, and the next look tries again.
    tell({ checkpoint_ms: performance.now() - start_ms, error: toWireError(error) });
  }
}

function tell(message: FromCheckpointer): void {
  port.postMessage(message);
}
