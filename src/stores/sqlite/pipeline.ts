import { fromWireError, type WireError } from "./failure.ts";
import { packBatch } from "./packing.ts";
import type { RequestResult, ToWriter, WriterRequest, WriterResult } from "./protocol.ts";

/*
 * Group commit without a timer: at most two batches are under way, one that the writer works on and one that lies ready
 * for it. A lone request goes at once; under load a batch is what came while the two before it were written.
 *
 * A batch that fails as a whole (the disk is full) comes back, and so do those behind it, untried: what nobody waits for
 * goes to the head of the queue again, in its order, before anything newer is written.
 */

export type Size = { readonly operations: number; readonly bytes: number };

export type Waiting = Size & {
  readonly request: WriterRequest;
  /** Takes the result over into memory; called in the order of the requests. */
  readonly settle: (result: WriterResult) => void;
  /** Undefined for what nobody waits for. */
  readonly fail: ((error: Error) => void) | undefined;
};

export type Pipeline = {
  add(waiting: Waiting): void;
  /** The oldest batch is done; results may be missing at its end. @returns How many operations it was. */
  finish(results: readonly RequestResult[]): number;
  /** Nothing of the oldest batch happened; without an error it was not even tried. */
  refuse(error: Error | undefined): void;
  /** @returns What was still waiting. */
  stop(): Waiting[];
  isEmpty(): boolean;
  operations(): number;
};

/** A batch ends at this many operations or bytes, so that no answer waits for too long. */
const batch_operations = 1_024;
const batch_bytes = 1_024 * 1_024;
const batchesUnderWay = 2;
/** How long something that nobody waits for waits for company. */
const lazy_ms = 20;
/** How soon what came back is tried again by itself. */
const retry_ms = 500;

type Outcome = { readonly value: WriterResult } | { readonly error: Error };

export function createPipeline(
  post: (message: ToWriter) => void,
  settle: (waiting: Waiting, outcome: Outcome) => void,
): Pipeline {
  const queue = createWaitingQueue();
  const underWay: (readonly Waiting[])[] = [];
  /** What came back, in its order; in front of the queue as soon as nothing is under way. */
  const returned: Waiting[] = [];
  let epoch = 0;
  const flushSoon = createTrigger(flush);

  function flush(): void {
    if (returned.length > 0) return;
    while (underWay.length < batchesUnderWay && queue.length() > 0) {
      const batch = queue.takeBatch();
      underWay.push(batch);
      post({ batch: packBatch({ epoch, requests: batch.map((it) => it.request) }) });
    }
  }

  function handBack(batch: readonly Waiting[], error: Error): void {
    epoch += 1;
    for (const waiting of batch) {
      if (!waiting.fail) returned.push(waiting);
      else end(waiting, { error });
    }
  }

  function end(waiting: Waiting, outcome: Outcome): void {
    queue.settled(waiting);
    settle(waiting, outcome);
  }

  function goOn(): void {
    const isRetry = returned.length > 0;
    if (underWay.length === 0) queue.putInFront(returned.splice(0));
    if (queue.hasHurry()) flush();
    else if (queue.length() > 0) flushSoon.within(isRetry ? retry_ms : lazy_ms);
  }

  return {
    add(waiting) {
      queue.add(waiting);
      if (waiting.fail) flushSoon.now();
      else flushSoon.within(lazy_ms);
    },
    finish(results) {
      const batch = underWay.shift() ?? [];
      const done = batch.slice(0, results.length);
      for (const [index, waiting] of done.entries()) end(waiting, outcomeOf(results[index]));
      if (done.length < batch.length) handBack(batch.slice(done.length), fromWireError(fullHalfWay));
      goOn();
      return done.reduce((sum, it) => sum + it.operations, 0);
    },
    refuse(error) {
      const batch = underWay.shift() ?? [];
      if (error) handBack(batch, error);
      else returned.push(...batch);
      goOn();
    },
    stop() {
      flushSoon.stop();
      return [...underWay.splice(0).flat(), ...returned.splice(0), ...queue.takeAll()];
    },
    isEmpty: () => queue.length() + underWay.length + returned.length === 0,
    operations: queue.operations,
  };
}

const fullHalfWay: WireError = { message: "the disk is full", kind: "full" };

function outcomeOf(result: RequestResult | undefined): Outcome {
  if (!result) return { value: undefined };
  return "error" in result ? { error: fromWireError(result.error) } : result;
}

/** First in, first out; counts what is in it and what has been taken but is not settled. */
function createWaitingQueue() {
  let waiting: Waiting[] = [];
  let operations = 0;
  let hurried = 0;
  return {
    add(it: Waiting): void {
      waiting.push(it);
      operations += it.operations;
      if (it.fail) hurried += 1;
    },
    putInFront(again: readonly Waiting[]): void {
      if (again.length === 0) return;
      waiting = [...again, ...waiting];
      hurried += countHurried(again);
    },
    takeBatch(): Waiting[] {
      const batch = waiting.splice(0, batchLength(waiting));
      hurried -= countHurried(batch);
      return batch;
    },
    takeAll: () => waiting.splice(0),
    settled(it: Waiting): void {
      operations -= it.operations;
    },
    /** Whether somebody waits for any of it. */
    hasHurry: () => hurried > 0,
    length: () => waiting.length,
    operations: () => operations,
  };
}

function countHurried(batch: readonly Waiting[]): number {
  return batch.reduce((sum, it) => sum + (it.fail ? 1 : 0), 0);
}

/** How many from the head of the queue make up a batch: at least one. */
function batchLength(queue: readonly Waiting[]): number {
  let operations = 0;
  let bytes = 0;
  for (const [index, it] of queue.entries()) {
    operations += it.operations;
    bytes += it.bytes;
    if (index > 0 && (operations > batch_operations || bytes > batch_bytes)) return index;
  }
  return queue.length;
}

/** Calls once, however often it is asked to. */
function createTrigger(call: () => void) {
  let immediate: NodeJS.Immediate | undefined;
  let timer: NodeJS.Timeout | undefined;
  return {
    /** After this turn's input has been read, so that what arrived together is written together. */
    now(): void {
      immediate ??= setImmediate(() => {
        immediate = undefined;
        call();
      });
    },
    within(delay_ms: number): void {
      timer ??= setTimeout(() => {
        timer = undefined;
        call();
      }, delay_ms);
    },
    stop(): void {
      clearImmediate(immediate);
      clearTimeout(timer);
    },
  };
}
