import type { DatabaseSync } from "node:sqlite";
import { failureOf, toWireError } from "./failure.ts";
import type { Batch, BatchAnswer, BatchRefused, RequestResult } from "./protocol.ts";
import type { WriterOperationSet } from "./writer-operations.ts";
import type { WriterState } from "./writer-state.ts";

/** How often what is written late (conversations' last activity) is written along with a batch. */
const flushEvery_ms = 2_000;

/**
 * Does batches of requests, each batch in one transaction with one COMMIT: group commit. What arrives while a COMMIT waits
 * for the disk forms the next batch, so no timer is needed and a lone request never waits.
 *
 * @param walSizeBytes How much stands in the write-ahead log.
 */
export function createBatchRunner(
  state: WriterState,
  operations: WriterOperationSet,
  walSizeBytes: () => number,
): (batch: Batch) => BatchAnswer {
  const { db } = state;
  /** The epoch whose batches are taken; one fails, and those behind it are handed back untried. */
  let epoch = 0;
  let flushed_ms = performance.now();

  function runTogether({ requests }: Batch): BatchAnswer {
    state.begin();
    db.exec("BEGIN IMMEDIATE");
    const results = requests.map((it): RequestResult => ({ value: operations.perform(it) }));
    operations.maintain();
    if (performance.now() - flushed_ms > flushEvery_ms) {
      state.conversations.flush(state.lastPublished());
      flushed_ms = performance.now();
    }
    state.writeEvents();
    const commit_ms = commit(db);
    state.keep();
    return { done: true, results, last_event: state.lastEvent(), commit_ms, wal_size_bytes: walSizeBytes() };
  }

  function undo(): void {
    if (db.isTransaction) db.exec("ROLLBACK");
    state.rollBack();
    operations.rollBack();
  }

  function refuse(error: unknown, expected: number): BatchRefused {
    epoch = expected + 1;
    return { done: false, error: toWireError(error) };
  }

  /** One of them made a mistake that should not have been possible: only that one fails. */
  function runApart(batch: Batch): BatchAnswer {
    const results: RequestResult[] = [];
    for (const request of batch.requests) {
      const outcome = runAlone({ ...batch, requests: [request] });
      if ("result" in outcome) results.push(outcome.result);
      else if (failureOf(outcome.error) === "fatal") return refuse(outcome.error, batch.epoch);
      else {
        // The disk is full, half way through: those before are written, this one and those after can be tried again.
        epoch = batch.epoch + 1;
        break;
      }
    }
    const wal_size_bytes = walSizeBytes();
    return { done: true, results, last_event: state.lastEvent(), commit_ms: undefined, wal_size_bytes };
  }

  function runAlone(batch: Batch): { result: RequestResult } | { error: unknown } {
    try {
      const answer = runTogether(batch);
      return { result: (answer.done && answer.results[0]) || { value: undefined } };
    } catch (error) {
      undo();
      return failureOf(error) === "other" ? { result: { error: toWireError(error) } } : { error };
    }
  }

  return (batch) => {
    if (batch.epoch !== epoch) return { done: false, error: undefined };
    try {
      return runTogether(batch);
    } catch (error) {
      undo();
      if (failureOf(error) !== "other") return refuse(error, batch.epoch);
      return runApart(batch);
    }
  };
}

/** @returns How long it took, in milliseconds. An error here leaves it open what is on disk, unless it says "full". */
function commit(db: DatabaseSync): number {
  const start_ms = performance.now();
  db.exec("COMMIT");
  return performance.now() - start_ms;
}
