import type { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { Delivery, Message, MessageId } from "../contract/messages.ts";
import type { Bus } from "../contract/operations.ts";
import { keepLease, type Lease, type LeaseKeeping } from "./lease.ts";
import { createReceipts, type Receipts } from "./receipts.ts";
import type { SubscribeInput, Subscription, SubscriptionListener } from "./subscription.ts";

/*
 * A delivery in a worker:
 *
 *   pushed ─▶ waiting ─▶ running ─▶ handled ─▶ acknowledged
 *               │           │ threw: rejected
 *               │           │ lease lost: the handler's signal is aborted, and its outcome counts for nothing
 *               └───────────┴ connection lost: waiting ones are dropped, a running one goes on; it takes over the lease
 *                             of its redelivery, which comes after the reconnect
 */

/** Thrown by a handler, gives the message back with a reason and a delay of its own before the next attempt. */
export class Reject extends Error {
  override readonly name = "Reject";
  readonly delay_ms: number | undefined;

  constructor(reason: string, options: ErrorOptions & { delay_ms?: number } = {}) {
    super(reason, options);
    this.delay_ms = options.delay_ms;
  }
}

export type HandlerContext = {
  /** Aborted when the lease is lost (another worker may have the message by now) or the worker does not wait any longer. */
  readonly signal: AbortSignal;
  readonly delivery: Delivery;
  /** 1 the first time. */
  readonly attempt: number;
  /** Keeps the message for at least `lease_ms` from now, for work during which the lease cannot be renewed. */
  extend(lease_ms: number): Promise<void>;
};

/** Returning acknowledges the message; throwing gives it back to be tried again. */
export type MessageHandler = (message: Message, context: HandlerContext) => unknown;

export type WorkerOptions = {
  /** Handlers that run at a time; 1 keeps the order of the inbox. Default 1. */
  readonly concurrency?: number;
  /** Deliveries fetched ahead, beyond those being handled. Default 0. */
  readonly prefetch?: number;
  /** How long the server keeps a message for a worker it does not hear from. Renewed while the handler runs. */
  readonly lease_ms?: number;
  /** How long a stopping worker waits for its handlers before it aborts their signals. */
  readonly stop_ms?: number;
  /** Hears of what handlers throw and of acknowledgements that failed; the message is delivered again in both cases. */
  readonly onError?: (error: unknown, message_id: MessageId) => void;
};

/** Disposing it stops fetching, waits for the handlers that run, and gives the rest back. */
export type Worker = AsyncDisposable & {
  /** As of a subscription: the error if the server ended it, undefined once it was disposed. */
  readonly ended: Promise<BusError | undefined>;
};

const default_lease_ms = 30_000;
const default_stop_ms = 10_000;
/** Messages handled lately, so that one delivered again is acknowledged without being handled again. */
const most_remembered = 10_000;

export type WorkerDependencies = {
  readonly bus: LeaseKeeping["bus"] & Pick<Bus, "acknowledgeMessages" | "rejectMessage">;
  readonly elapsed: () => number;
  readonly subscribe: (input: SubscribeInput, listener: SubscriptionListener) => Promise<Subscription>;
};

type Job = {
  readonly lease: Lease;
  /** Came again while an aborted handler was still at it: to be handled after that. */
  next?: Delivery;
};

type WorkerState = LeaseKeeping & {
  readonly handler: MessageHandler;
  readonly concurrency: number;
  readonly onError: (error: unknown, message_id: MessageId) => void;
  readonly receipts: Receipts;
  readonly waiting: Map<MessageId, Job>;
  readonly running: Map<MessageId, Job>;
  readonly handled: Set<MessageId>;
  stopping: boolean;
  /** Called whenever a handler has ended. */
  idle: () => void;
};

/** @throws BusError as `subscribe` does: `agent_not_found`, `forbidden`, `unreachable`, … */
export async function startWorker(
  { bus, elapsed, subscribe }: WorkerDependencies,
  agent_id: string,
  handler: MessageHandler,
  options: WorkerOptions = {},
): Promise<Worker> {
  const { concurrency = 1, prefetch = 0, lease_ms = default_lease_ms, stop_ms = default_stop_ms } = options;
  const onError = options.onError ?? (() => undefined);
  const state: WorkerState = {
    bus,
    elapsed,
    lease_ms,
    handler,
    concurrency,
    onError,
    receipts: createReceipts(bus, onError),
    waiting: new Map(),
    running: new Map(),
    handled: new Set(),
    stopping: false,
    idle: () => undefined,
  };
  const subscription = await subscribe(
    { agent_id, credit: concurrency + prefetch, lease_ms },
    { delivered: (delivery) => take(state, delivery), leasesLost: () => leasesLost(state) },
  );
  let stopped: Promise<void> | undefined;
  return {
    ended: subscription.ended,
    [Symbol.asyncDispose]: () => {
      stopped ??= stop(state, stop_ms, subscription);
      return stopped;
    },
  };
}

function take(state: WorkerState, delivery: Delivery): void {
  const { id } = delivery.message;
  const job = state.running.get(id) ?? state.waiting.get(id);
  if (state.handled.has(id)) state.receipts.acknowledge(delivery);
  else if (!job) state.waiting.set(id, { lease: keepLease(state, delivery) });
  else if (job.lease.signal.aborted) job.next = delivery;
  else job.lease.takeOver(delivery);
  startWaiting(state);
}

function startWaiting(state: WorkerState): void {
  for (const [id, job] of state.waiting) {
    if (state.stopping || state.running.size >= state.concurrency) return;
    state.waiting.delete(id);
    if (job.next) state.waiting.set(id, { lease: keepLease(state, job.next) });
    if (job.lease.signal.aborted) continue;
    state.running.set(id, job);
    void run(state, job, id);
  }
}

async function run(state: WorkerState, job: Job, id: MessageId): Promise<void> {
  const { lease } = job;
  const { handler, receipts } = state;
  try {
    await handler(lease.delivery().message, contextOf(lease));
    if (!lease.signal.aborted) {
      remember(state, id);
      receipts.acknowledge(lease.delivery());
    }
  } catch (error) {
    state.onError(error, id);
    if (!lease.signal.aborted) {
      receipts.reject(lease.delivery(), reasonOf(error), error instanceof Reject ? error.delay_ms : undefined);
    }
  }
  lease.end();
  state.running.delete(id);
  if (job.next) take(state, job.next);
  else startWaiting(state);
  state.idle();
}

function contextOf(lease: Lease): HandlerContext {
  const delivery = lease.delivery();
  return { signal: lease.signal, delivery, attempt: delivery.attempt, extend: lease.extend };
}

function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, limits.reason_length);
}

function remember({ handled }: WorkerState, id: MessageId): void {
  handled.add(id);
  const [oldest] = handled;
  if (handled.size > most_remembered && oldest) handled.delete(oldest);
}

function leasesLost(state: WorkerState): void {
  for (const { lease } of state.waiting.values()) lease.end();
  state.waiting.clear();
  for (const { lease } of state.running.values()) lease.suspect();
}

async function stop(state: WorkerState, stop_ms: number, subscription: Subscription): Promise<void> {
  state.stopping = true;
  if (state.running.size > 0) await ranOut(state, stop_ms);
  for (const { lease } of [...state.waiting.values(), ...state.running.values()]) {
    lease.end(new Error("the worker was stopped and has waited long enough"));
  }
  await state.receipts.settled();
  await subscription[Symbol.asyncDispose]();
}

/** Resolves when no handler runs any more, or after `stop_ms`. */
function ranOut(state: WorkerState, stop_ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, stop_ms);
    state.idle = () => {
      if (state.running.size > 0) return;
      clearTimeout(timer);
      resolve();
    };
  });
}
