import { fromWireError, unavailable } from "./failure.ts";
import { createPipeline, type Size, type Waiting } from "./pipeline.ts";
import type {
  BatchAnswer,
  ToWriter,
  WriterOperation,
  WriterOperations,
  WriterRequest,
  WriterResult,
} from "./protocol.ts";

/*
 * The way of every change to the disk. Requests wait here until fewer than two batches are under way (`pipeline.ts`). Two
 * kinds:
 *
 *   submit   somebody waits for the answer. If the disk is full, nothing happened and they are told.
 *   append   nobody waits: what it says has happened already, in memory (a claim, the end of a lease). It never fails: if
 *            the disk is full it stays at the head of the queue until there is space. It does not hurry either, but goes
 *            along with the next batch, lest each claim cost a COMMIT that the acknowledgement after it would wait for.
 */
export type CommitQueue = {
  /**
   * @param apply Takes the result over into memory, before anything that was asked later is.
   * @param undo The request failed and changed nothing.
   * @throws BusError `storage_full`, `unavailable`.
   */
  submit<Name extends WriterOperation, Result>(
    request: RequestOf<Name>,
    options: { size?: Size; apply: (result: WriterOperations[Name]["result"]) => Result; undo?: () => void },
  ): Promise<Result>;
  append<Name extends WriterOperation>(request: RequestOf<Name>, options: { size: Size; apply?: () => void }): void;
  /** Resolves when everything that was asked before has been written, or refused. */
  barrier(): Promise<void>;
  /** What the writer answers to its batches, in their order. */
  receive(answer: BatchAnswer): void;
  /** The writer is gone: everybody is told, now and from now on. */
  breakDown(error: Error): void;
  waitingOperations(): number;
};

type RequestOf<Name extends WriterOperation> = { readonly operation: Name } & WriterOperations[Name]["request"];

export type CommitObserver = {
  committed(batch: { size: number; commit_ms: number | undefined; last_event: number; wal_size_bytes: number }): void;
  /** How long it took from the request to the answer of something that somebody waited for. */
  accepted(accept_ms: number): void;
  /** An error that nobody waits for and that no retry cures: memory and disk may disagree. */
  broken(error: Error): void;
};

/** Beyond this many waiting operations, new ones are refused. */
const mostWaiting = 200_000;
/** Above this much write-ahead log, new ones are refused: something keeps it from being copied back, and the disk is not endless. */
const mostLog_bytes = 2 * 1_024 * 1_024 * 1_024;

const one: Size = { operations: 1, bytes: 256 };

export function createCommitQueue(post: (message: ToWriter) => void, observer: CommitObserver): CommitQueue {
  const pipeline = createPipeline(post, settle);
  let broken: Error | undefined;
  let wal_size_bytes = 0;

  function settle(waiting: Waiting, result: { value: WriterResult } | { error: Error }): void {
    if ("value" in result) waiting.settle(result.value);
    else if (waiting.fail) waiting.fail(result.error);
    else observer.broken(result.error);
  }

  function refusal(): Error | undefined {
    if (broken) return stopped(broken);
    if (pipeline.operations() > mostWaiting) return unavailable("Too much waits to be written; try again shortly.");
    if (wal_size_bytes > mostLog_bytes) return unavailable("The write-ahead log is too long; try again shortly.");
    return undefined;
  }

  function breakDown(error: Error): void {
    if (broken) return;
    broken = error;
    for (const waiting of pipeline.stop()) waiting.fail?.(stopped(error));
    observer.broken(error);
  }

  const queue: CommitQueue = {
    submit(request, { size = one, apply, undo }) {
      const refused = refusal();
      if (refused) {
        undo?.();
        return Promise.reject(refused);
      }
      const start_ms = performance.now();
      return new Promise((resolve, reject) => {
        pipeline.add({
          ...size,
          request: asRequest(request),
          settle(result) {
            observer.accepted(performance.now() - start_ms);
            resolve(apply(result as Parameters<typeof apply>[0])); // The answer to that request.
          },
          fail(error) {
            undo?.();
            reject(error);
          },
        });
      });
    },

    append(request, { size, apply }) {
      if (broken) return;
      pipeline.add({ ...size, request: asRequest(request), settle: () => apply?.(), fail: undefined });
    },

    async barrier() {
      if (pipeline.isEmpty()) return;
      // Refused or not: what was before it has had its turn.
      await queue.submit({ operation: "barrier" }, { apply: () => undefined }).catch(() => undefined);
    },

    receive(answer) {
      if (answer.done) {
        const size = pipeline.finish(answer.results);
        wal_size_bytes = answer.wal_size_bytes;
        observer.committed({ size, ...answer });
      } else if (answer.error && (answer.error.kind === "fatal" || answer.error.kind === "other")) {
        breakDown(new Error(answer.error.message, { cause: answer.error.stack }));
      } else pipeline.refuse(answer.error && fromWireError(answer.error));
    },

    breakDown,
    waitingOperations: pipeline.operations,
  };
  return queue;
}

/** A member of the union, since name and fields come from the same operation; the compiler cannot see that in a generic. */
function asRequest<Name extends WriterOperation>(request: RequestOf<Name>): WriterRequest {
  return request as unknown as WriterRequest;
}

function stopped(error: Error): Error {
  return unavailable(`The store has stopped: ${error.message}`, { cause: error });
}
