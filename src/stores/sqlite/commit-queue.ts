import { fromWireError, unavailable } from "./failure.ts";
import type {
  BatchAnswer,
  FromWriter,
  ToWriter,
  WriterOperation,
  WriterOperations,
  WriterRequest,
  WriterResult,
} from "./protocol.ts";

/*
 * The way of every change to the disk. Requests wait here until fewer than two batches are under way: one that the writer
 * works on, and one that lies ready for it. So a lone request goes at once, and under load a batch is what came while the
 * two before it were written. Two kinds:
 *
 *   submit   somebody waits for the answer. If the disk is full, nothing happened and they are told.
 *   append   nobody waits: what it says has happened already, in memory (a claim, the end of a lease). It never fails: if
 *            the disk is full it stays at the head of the queue until there is space. It does not hurry either, but goes
 *            along with the next batch, lest each claim cost a COMMIT that the acknowledgement after it would wait for.
 */

/** Requests in a batch end at this many operations or bytes, so that no answer waits for too long. */
const batch_operations = 1_024;
const batch_bytes = 1_024 * 1_024;
/** One that the writer works on and one that lies ready. */
const batchesUnderWay = 2;
/** How long an appended request waits for company. */
const lazy_ms = 20;
/** How soon what could not be written is tried again by itself. */
const retry_ms = 500;
/** Beyond this many waiting operations, new ones are refused. */
const mostWaiting = 200_000;

export type Size = { readonly operations: number; readonly bytes: number };

type Waiting = Size & {
  readonly request: WriterRequest;
  /** Takes the result over into memory; called in the order of the requests. */
  readonly settle: (result: WriterResult) => void;
  /** Undefined for what nobody waits for. */
  readonly fail: ((error: Error) => void) | undefined;
};

export type CommitQueue = {
  /**
   * @param apply Takes the result over into memory, before anything that was asked later is.
   * @param undo The request failed and changed nothing.
   * @throws BusError `storage_full`, `unavailable`.
   */
  submit<Name extends WriterOperation, Result>(
    request: { readonly operation: Name } & WriterOperations[Name]["request"],
    options: { size?: Size; apply: (result: WriterOperations[Name]["result"]) => Result; undo?: () => void },
  ): Promise<Result>;
  append<Name extends WriterOperation>(
    request: { readonly operation: Name } & WriterOperations[Name]["request"],
    options: { size: Size; apply?: () => void },
  ): void;
  /** Resolves when everything that was asked before has been written, or refused. */
  barrier(): Promise<void>;
  /** For the thread that owns the writer. */
  receive(message: Extract<FromWriter, { answer: BatchAnswer }>): void;
  /** The writer is gone: everybody is told, now and from now on. */
  breakDown(error: Error): void;
  waitingOperations(): number;
};

export type CommitObserver = {
  committed(batch: { size: number; commit_ms: number | undefined; last_event: number; wal_size_bytes: number }): void;
  /** How long it took from the request to the answer of something that somebody waited for. */
  accepted(accept_ms: number): void;
  /** An error that nobody waits for and that no retry cures: memory and disk may disagree. */
  broken(error: Error): void;
};

const one: Size = { operations: 1, bytes: 256 };

export function createCommitQueue(post: (message: ToWriter) => void, observer: CommitObserver): CommitQueue {
  let queue: Waiting[] = [];
  let underWay: Waiting[][] = [];
  /** What came back from failed batches, in order; goes first when nothing is under way. */
  let returned: Waiting[] = [];
  let epoch = 0;
  let broken: Error | undefined;
  let isFlushPlanned = false;
  let lazyTimer: NodeJS.Timeout | undefined;
  let waitingOperations = 0;

  function planFlush(): void {
    if (isFlushPlanned) return;
    isFlushPlanned = true;
    // After this turn's input has been read, so that what arrived together is written together.
    setImmediate(() => {
      isFlushPlanned = false;
      flush();
    });
  }

  function planLazyFlush(delay_ms: number): void {
    lazyTimer ??= setTimeout(() => {
      lazyTimer = undefined;
      flush();
    }, delay_ms);
  }

  function flush(): void {
    while (broken === undefined && underWay.length < batchesUnderWay && queue.length > 0) {
      const batch = takeBatch();
      underWay.push(batch);
      post({ batch: { epoch, requests: batch.map((it) => it.request) } });
    }
  }

  function takeBatch(): Waiting[] {
    let operations = 0;
    let bytes = 0;
    let count = 0;
    for (const it of queue) {
      operations += it.operations;
      bytes += it.bytes;
      if (count > 0 && (operations > batch_operations || bytes > batch_bytes)) break;
      count += 1;
    }
    const batch = queue.slice(0, count);
    queue = queue.slice(count);
    return batch;
  }

  function enqueue(waiting: Waiting): void {
    queue.push(waiting);
    waitingOperations += waiting.operations;
  }

  function finish(waiting: Waiting): void {
    waitingOperations -= waiting.operations;
  }

  function settle(waiting: Waiting, result: { value: WriterResult } | { error: Error }): void {
    finish(waiting);
    if ("value" in result) waiting.settle(result.value);
    else if (waiting.fail) waiting.fail(result.error);
    else observer.broken(result.error);
  }

  /** Nothing of these happened: those who wait are told, the others go back to the head of the queue. */
  function handBack(batch: readonly Waiting[], error: Error): void {
    for (const waiting of batch) {
      if (waiting.fail) settle(waiting, { error });
      else returned.push(waiting);
    }
  }

  function receive(answer: BatchAnswer): void {
    const batch = underWay.shift() ?? [];
    if (answer.done) {
      for (const [index, result] of answer.results.entries()) {
        const waiting = batch[index];
        if (waiting) settle(waiting, "error" in result ? { error: fromWireError(result.error) } : result);
      }
      const { commit_ms, last_event, wal_size_bytes } = answer;
      const size = batch.slice(0, answer.results.length).reduce((sum, it) => sum + it.operations, 0);
      observer.committed({ size, commit_ms, last_event, wal_size_bytes });
      handBackRest(batch.slice(answer.results.length));
    } else if (answer.error?.kind === "fatal" || answer.error?.kind === "other") {
      underWay.unshift(batch);
      breakDown(new Error(answer.error.message, { cause: answer.error.stack }));
    } else if (answer.error) {
      epoch += 1;
      handBack(batch, fromWireError(answer.error));
    } else {
      // Untried, and behind one that failed: all of it can be tried again.
      returned.push(...batch);
    }
    goOn();
  }

  function handBackRest(rest: readonly Waiting[]): void {
    if (rest.length === 0) return;
    epoch += 1;
    handBack(rest, fromWireError({ message: "", kind: "full" }));
  }

  function goOn(): void {
    if (underWay.length === 0) {
      const retry = returned.length > 0;
      queue = [...returned, ...queue];
      returned = [];
      if (retry && !queue.some((it) => it.fail)) planLazyFlush(retry_ms);
      else if (hasHurry()) flush();
    } else if (returned.length === 0 && hasHurry()) flush();
  }

  /** Whether somebody waits for something in the queue; the rest has its timer. */
  function hasHurry(): boolean {
    return queue.some((it) => it.fail);
  }

  function breakDown(error: Error): void {
    if (broken) return;
    broken = error;
    const told = unavailable(`The store has stopped: ${error.message}`, { cause: error });
    const all = [...underWay.flat(), ...returned, ...queue];
    underWay = [];
    returned = [];
    queue = [];
    clearTimeout(lazyTimer);
    for (const waiting of all) waiting.fail?.(told);
    observer.broken(error);
  }

  function check(): void {
    if (broken) throw unavailable(`The store has stopped: ${broken.message}`, { cause: broken });
    if (waitingOperations > mostWaiting) throw unavailable("Too much is waiting to be written; try again shortly.");
  }

  const commitQueue: CommitQueue = {
    submit(request, { size = one, apply, undo }) {
      return new Promise((resolve, reject) => {
        try {
          check();
        } catch (error) {
          undo?.();
          throw error; // Inside the promise, so it is a rejection.
        }
        const start_ms = performance.now();
        enqueue({
          ...size,
          // A member of the union, since name and fields come from the same operation.
          request: request as unknown as WriterRequest,
          settle(result) {
            observer.accepted(performance.now() - start_ms);
            resolve(apply(result as Parameters<typeof apply>[0])); // The answer to that request.
          },
          fail(error) {
            undo?.();
            reject(error);
          },
        });
        planFlush();
      });
    },

    append(request, { size, apply }) {
      if (broken) return;
      enqueue({ ...size, request: request as unknown as WriterRequest, settle: () => apply?.(), fail: undefined });
      planLazyFlush(lazy_ms);
    },

    async barrier() {
      if (underWay.length === 0 && returned.length === 0 && queue.length === 0) return;
      await commitQueue.submit({ operation: "flush" }, { apply: () => undefined }).catch(() => undefined);
    },

    receive: ({ answer }) => receive(answer),
    breakDown,

    waitingOperations: () => waitingOperations,
  };
  return commitQueue;
}
