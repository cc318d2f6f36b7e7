import { setTimeout as sleep } from "node:timers/promises";
import { BusError, type ErrorCode } from "../contract/errors.ts";
import type { DamagedMessage, OutboxFile, QueuedMessage } from "./outbox-file-node.ts";
import type { Client } from "./remote-bus.ts";

/** Hands over what an outbox holds, for as long as it is not disposed; one process at a time does it. */
export type Drain = AsyncDisposable & {
  /** Something was queued. */
  wake(): void;
  /** Takes what the server has out of the file now. */
  forgetSent(): void;
  /** Why the last try to hand something over failed, if it did. */
  lastError(): unknown;
};

/** How often to look whether another process has queued something, or has stopped draining. */
const look_ms = 200;
/** Messages of a lane that are read at a time. */
const page = 100;
/** Lanes that are worked on at a time; each has one message under way. */
const most_lanes = 256;
/** Sent messages that are taken out of the file in one transaction; what a crash leaves in is sent again, to no effect. */
const most_sent = 100;
/** Longest pause before the second try of a message that the server cannot take just now; doubles up to `retry_max_ms`. */
const retry_base_ms = 100;

/** Stands for no lane: those are JSON. */
const fileErrors = "file";

/** Refusals that are about the message: sending it again would be answered the same way. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "invalid_input",
  "forbidden",
  "agent_not_found",
  "group_empty",
  "capability_not_found",
  "conversation_not_found",
  "message_not_found",
  "agent_offline",
  "confirmation_required",
  "conversation_closed",
  "idempotency_conflict",
  "message_id_expired",
  "body_too_large",
  "sealed_only",
  "sealed_for_others",
]);

type DrainState = {
  readonly file: OutboxFile;
  readonly client: Pick<Client, "sendMessage" | "getMessage">;
  readonly retry_max_ms: number;
  readonly lanes: Map<string, Promise<void>>;
  /** Sent, and not yet taken out of the file: id → number. */
  readonly sent: Map<string, number>;
  /** Data version of the file when its lanes were last looked at. */
  seen: number | undefined;
  looking: boolean;
  /** Why the last try failed: by lane, and of the file under `fileErrors`. */
  readonly errors: Map<string, unknown>;
  readonly stopping: AbortController;
};

export function startDrain(file: OutboxFile, client: DrainState["client"], retry_max_ms: number): Drain {
  const state: DrainState = {
    file,
    client,
    retry_max_ms,
    lanes: new Map(),
    sent: new Map(),
    seen: undefined,
    looking: false,
    errors: new Map(),
    stopping: new AbortController(),
  };
  const timer = setInterval(() => look(state), look_ms).unref();
  lookSoon(state);
  return {
    wake: () => lookSoon(state),
    forgetSent: () => forgetSent(state),
    lastError: () => [...state.errors.values()].at(-1),
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      state.stopping.abort();
      await Promise.all(state.lanes.values());
      forgetSent(state);
    },
  };
}

/** Looks once in this turn, whoever asks for it and how often. */
function lookSoon(state: DrainState): void {
  state.seen = undefined;
  if (state.looking) return;
  state.looking = true;
  setImmediate(() => {
    state.looking = false;
    look(state);
  });
}

/** Starts on every lane that has something queued. */
function look(state: DrainState): void {
  const { file, stopping } = state;
  if (stopping.signal.aborted) return;
  try {
    if (!file.tryLock()) return;
    forgetSent(state);
    const version = file.version();
    if (version === state.seen) return;
    for (const lane of file.lanes()) startLane(state, lane);
    state.seen = version;
    state.errors.delete(fileErrors);
  } catch (error) {
    state.errors.set(fileErrors, error); // The timer comes back to it.
  }
}

function startLane(state: DrainState, lane: string): void {
  const { lanes } = state;
  if (lanes.has(lane) || lanes.size >= most_lanes) return; // The lanes that do not fit are found when one has ended.
  const drained = drainLane(state, lane).then(
    () => lookSoon(state),
    (error: unknown) => {
      state.errors.set(fileErrors, error);
      state.seen = undefined;
    },
  );
  lanes.set(
    lane,
    drained.finally(() => lanes.delete(lane)),
  );
}

async function drainLane(state: DrainState, lane: string): Promise<void> {
  for (let after = 0; ; ) {
    const messages = state.file.queued(lane, after, page);
    if (messages.length === 0) return;
    for (const queued of messages) {
      await settle(state, lane, queued);
      if (state.stopping.signal.aborted) return;
      after = queued.seq;
    }
  }
}

async function settle(state: DrainState, lane: string, queued: QueuedMessage | DamagedMessage): Promise<void> {
  if ("damage" in queued) state.file.refuse(queued, queued.damage);
  else await handOver(state, lane, queued);
}

/** Returns when the server has the message, has refused it, or nobody waits for that any more. */
async function handOver(state: DrainState, lane: string, queued: QueuedMessage): Promise<void> {
  const { signal } = state.stopping;
  for (let tries = 0; !signal.aborted; tries++) {
    const outcome = await attempt(state, queued);
    if (outcome === "settled") {
      state.errors.delete(lane);
      return;
    }
    if (outcome instanceof Error) state.errors.set(lane, outcome);
    const asked_ms = outcome instanceof BusError ? (outcome.retry_after_ms ?? 0) : 0;
    const ceiling_ms = Math.min(state.retry_max_ms, retry_base_ms * 2 ** Math.min(tries, 16));
    await pause(asked_ms + Math.random() * ceiling_ms, signal);
  }
}

/** `settled`: the server has it or has refused it. Else it has to be tried again, for that reason. */
type Attempt = "settled" | "waits for what it answers" | Error;

async function attempt(state: DrainState, queued: QueuedMessage): Promise<Attempt> {
  const { client, stopping, file, sent } = state;
  const { message, seq } = queued;
  if (message.reply_to !== undefined && !sent.has(message.reply_to) && file.isQueued(message.reply_to, seq)) {
    return "waits for what it answers";
  }
  try {
    await client.sendMessage(message, { signal: stopping.signal });
    markSent(state, queued);
    return "settled";
  } catch (error) {
    if (error instanceof BusError && refusals.has(error.code)) return await settleRefusal(state, queued, error);
    return error as Error;
  }
}

/**
 * An earlier try may have been accepted and its answer lost; what has changed since (the agent was removed, the time ran
 * out) makes the server refuse the repetition, and the message is there all the same.
 */
async function settleRefusal(state: DrainState, queued: QueuedMessage, refusal: BusError): Promise<Attempt> {
  const { client, file, stopping } = state;
  try {
    if (refusal.code !== "idempotency_conflict") {
      await client.getMessage({ message_id: queued.message.id }, { signal: stopping.signal });
      markSent(state, queued);
      return "settled";
    }
  } catch (error) {
    if (!(error instanceof BusError && error.code === "message_not_found")) return error as Error;
  }
  file.refuse({ seq: queued.seq, id: queued.message.id }, refusal);
  return "settled";
}

function markSent(state: DrainState, { seq, message }: QueuedMessage): void {
  state.sent.set(message.id, seq);
  if (state.sent.size >= most_sent) forgetSent(state);
}

function forgetSent({ file, sent }: DrainState): void {
  if (sent.size === 0) return;
  file.remove([...sent.values()]);
  sent.clear();
}

/** Does not keep a process alive that has nothing else to do. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch((error: Error) => {
    if (!signal.aborted) throw error;
  });
}
