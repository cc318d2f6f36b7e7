import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { BusError } from "../contract/errors.ts";
import type { AnswerFrame, ServerFrame } from "../contract/stream.ts";
import { createLink, type LinkOptions } from "./link.ts";
import {
  addRequest,
  connectionLost,
  failAll,
  failLargest,
  failOverdue,
  failUnreachable,
  type Pending,
  postpone,
  type Request,
  type RequestOptions,
  settle,
  toBusError,
} from "./pending.ts";

/** Silence after which the server is asked whether it is there, and again until it is taken to be gone. */
const silence_ms = 15_000;
/** How often the timeouts of all waiting requests are looked at: one timer for all, since most requests need none. */
const tick_ms = 100;
/** WebSocket close code of a server that was sent a larger frame than it takes. */
const message_too_big = 1009;

export type ConnectionOptions = LinkOptions & {
  readonly connect_timeout_ms: number;
  readonly request_timeout_ms: number;
};

/** What hears of all that is not the answer to a request. */
export type ConnectionListener = {
  pushed(frame: Exclude<ServerFrame, AnswerFrame>): void;
  /** An open connection is gone, and with it every lease, subscription and follow that was made on it. */
  lost(): void;
  /** A failed answer to a request that was answered before: a subscription or follow that has ended. */
  ended?(error: BusError): void;
};

export type Connection = {
  /** What was sent and not answered when the connection is lost is sent again if that is safe, in its old order. */
  request(op: Request["op"], input: object, how: RequestOptions): Promise<unknown>;
  /** Stops and resumes reading from the present socket, where the platform can. */
  pause(): void;
  resume(): void;
  /** Fails what still waits, and ends the connection for good. */
  close(): void;
};

/** Requests and answers over one connection, opened when first needed and again whenever something waits for it. */
export function createConnection(options: ConnectionOptions, listener: ConnectionListener): Connection {
  const { url } = options;
  const pending: Pending = { ...options, requests: new Map(), lastId: 0 };
  const pulse = createPulse(options.clock);
  const receiving: Receiving = { pending, listener, random: options.random, transmit };
  let lastReason = "not connected yet";
  let closed = false;
  let ticking: ReturnType<typeof setInterval> | undefined;

  const link = createLink(options, {
    opened() {
      pulse.restart();
      for (const request of pending.requests.values()) transmit(request);
    },
    received(text) {
      pulse.heard();
      receive(receiving, text);
    },
    closed({ reason, code, refusal }, wasOpen) {
      lastReason = reason;
      if (code === message_too_big) failLargest(pending);
      if (wasOpen) connectionLost(pending, reason);
      if (refusal) failAll(pending, refusal);
      if (wasOpen) listener.lost();
      failUnreachable(pending, reason);
    },
    wanted: () => pending.requests.size > 0,
  });

  function transmit(request: Request): void {
    const socket = link.open();
    request.sent = socket !== undefined;
    socket?.send(request.frame);
  }

  async function request(op: Request["op"], input: object, how: RequestOptions): Promise<unknown> {
    if (closed) throw new BusError("unreachable", `this client of ${url} has been closed`);
    const added = addRequest(pending, op, input, how);
    if (link.open()) transmit(added.request);
    else link.want();
    ticking ??= setInterval(tick, tick_ms);
    return added.answer;
  }

  function tick(): void {
    failOverdue(pending);
    if (link.open()) checkPulse();
    else failUnreachable(pending, lastReason);
    if (pending.requests.size > 0 || link.open()) return;
    clearInterval(ticking);
    ticking = undefined;
  }

  /** A connection whose other side has vanished without a word never closes by itself. */
  function checkPulse(): void {
    if (pulse.isGone()) link.drop();
    // Its failure needs no report: it is the silence that is dealt with here.
    if (pulse.isDoubtful()) request("health", {}, { resend: false }).catch(() => undefined);
  }

  return {
    request,
    pause: () => pulse.pause(() => link.open()?.pause?.()),
    resume: () => pulse.resume(() => link.open()?.resume?.()),
    close() {
      closed = true;
      clearInterval(ticking);
      failAll(pending, new BusError("unreachable", `this client of ${url} was closed before the answer came`));
      link.close();
    },
  };
}

/** Whether the other side still says something. Nothing is expected of it while we do not read. */
function createPulse(clock: Clock) {
  let heard_ms = 0;
  let asked = false;
  let paused = false;
  const heard = () => {
    heard_ms = clock.elapsed();
    asked = false;
  };
  return {
    heard,
    restart() {
      paused = false;
      heard();
    },
    pause(stopReading: () => void) {
      paused = true;
      stopReading();
    },
    resume(readOn: () => void) {
      paused = false;
      heard();
      readOn();
    },
    isGone: () => !paused && clock.elapsed() - heard_ms > 2 * silence_ms,
    /** True once per silence: the moment to ask something. */
    isDoubtful(): boolean {
      if (paused || asked || clock.elapsed() - heard_ms <= silence_ms) return false;
      asked = true;
      return true;
    },
  };
}

type Receiving = {
  readonly pending: Pending;
  readonly listener: ConnectionListener;
  readonly random: Random;
  readonly transmit: (request: Request) => void;
};

function receive({ pending, listener, random, transmit }: Receiving, text: string): void {
  const frame = JSON.parse(text) as ServerFrame;
  if (!("ok" in frame)) {
    listener.pushed(frame);
    return;
  }
  /** Not what a new connection has sent meanwhile, or what nobody waits for any more. */
  const sendAgain = (request: Request) => {
    if (!request.sent && pending.requests.has(request.id)) transmit(request);
  };
  const postponed = postpone(pending, frame, random);
  if (postponed) setTimeout(sendAgain, postponed.wait_ms, postponed.request);
  else if (!settle(pending, frame) && !frame.ok) listener.ended?.(toBusError(frame.error));
}
