import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { describeDuration } from "../base/time.ts";
import { BusError, type ErrorCode } from "../contract/errors.ts";
import type { OperationName } from "../contract/routes.ts";
import type { AnswerFrame, StreamError, StreamOperation } from "../contract/stream.ts";

/** Requests that may wait at a time; beyond, the caller is sending faster than anybody answers. */
const max_pending = 100_000;

export type RequestOptions = {
  /** Whether doing it twice is the same as doing it once, so that it may be sent again after a lost connection. */
  readonly resend: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly timeout_ms?: number | undefined;
  /** Waits for a server that is away for however long that takes. */
  readonly patient?: boolean;
  /** Gets the answer that comes after the caller has stopped waiting. */
  readonly late?: (output: unknown) => void;
};

export type Request = {
  readonly id: number;
  readonly op: OperationName | StreamOperation;
  readonly frame: string;
  readonly how: RequestOptions;
  readonly times_out_ms: number;
  /** When it fails unless there is a connection. */
  gives_up_ms: number;
  sent: boolean;
  /** How often the server refused it for coming too soon. */
  refusals: number;
  /** Nobody waits for the answer any more; kept for the sake of `how.late`. */
  abandoned: boolean;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
};

/** The requests that wait for their answers, in the order they were made. */
export type Pending = {
  readonly url: string;
  readonly connect_timeout_ms: number;
  readonly request_timeout_ms: number;
  readonly clock: Clock;
  readonly requests: Map<number, Request>;
  lastId: number;
};

/** Notes a request that is to be sent. @throws BusError `unavailable` where too many wait already. */
export function addRequest(
  pending: Pending,
  op: Request["op"],
  input: object,
  how: RequestOptions,
): { request: Request; answer: Promise<unknown> } {
  const { url, requests, clock, connect_timeout_ms, request_timeout_ms } = pending;
  how.signal?.throwIfAborted();
  if (requests.size >= max_pending) {
    const message = `${max_pending} requests wait for ${url} to answer; await some before sending more`;
    throw new BusError("unavailable", message);
  }
  const id = ++pending.lastId;
  const now = clock.elapsed();
  const { promise: answer, resolve, reject } = Promise.withResolvers<unknown>();
  const request: Request = {
    id,
    op,
    frame: `{"id":${id},"op":"${op}","input":${JSON.stringify(input)}}`,
    how,
    times_out_ms: how.patient ? Number.POSITIVE_INFINITY : now + (how.timeout_ms ?? request_timeout_ms),
    gives_up_ms: how.patient ? Number.POSITIVE_INFINITY : now + connect_timeout_ms,
    sent: false,
    refusals: 0,
    abandoned: false,
    resolve,
    reject,
  };
  requests.set(id, request);
  if (how.signal) abandonOnAbort(pending, request, how.signal, answer);
  return { request, answer };
}

function abandonOnAbort(pending: Pending, request: Request, signal: AbortSignal, answer: Promise<unknown>): void {
  const onAbort = () => abandon(pending, request, signal.reason);
  const done = () => signal.removeEventListener("abort", onAbort);
  signal.addEventListener("abort", onAbort, { once: true });
  answer.then(done, done);
}

/** Lets the caller go. What was sent and has a `late` handler stays, so that its answer is not lost on us. */
function abandon(pending: Pending, request: Request, error: unknown): void {
  request.reject(error);
  if (request.sent && request.how.late) request.abandoned = true;
  else pending.requests.delete(request.id);
}

function fail({ requests }: Pending, request: Request, code: ErrorCode, message: string): void {
  requests.delete(request.id);
  request.reject(new BusError(code, message)); // Does nothing where the caller has already stopped waiting.
}

/** Hands an answer to whoever waits for it. False where nobody does. */
export function settle({ requests }: Pending, frame: AnswerFrame): boolean {
  const request = requests.get(frame.id);
  if (!request) return false;
  requests.delete(frame.id);
  if (!frame.ok) request.reject(toBusError(frame.error));
  else if (request.abandoned) request.how.late?.(frame.output);
  else request.resolve(frame.output);
  return true;
}

/** Longest wait before the second sending of a request that came too soon, should the server name none; doubles up to the next. */
const postpone_base_ms = 10;
const postpone_max_ms = 2_000;

/**
 * A request that the server refused for coming too soon waits to be sent again, which is safe since nothing was done.
 *
 * @returns The request, and for how long it should wait; undefined where it has no time left or nobody waits for it.
 */
export function postpone(
  { requests, clock }: Pending,
  frame: AnswerFrame,
  random: Random,
): { readonly request: Request; readonly wait_ms: number } | undefined {
  const request = requests.get(frame.id);
  if (frame.ok || frame.error.code !== "rate_limited" || !request || request.abandoned) return undefined;
  const ceiling_ms = Math.min(postpone_max_ms, postpone_base_ms * 2 ** Math.min(request.refusals, 16));
  const wait_ms = (frame.error.retry_after_ms ?? 0) + random() * ceiling_ms;
  if (clock.elapsed() + wait_ms >= request.times_out_ms) return undefined;
  request.refusals += 1;
  request.sent = false;
  return { request, wait_ms };
}

/** The connection is gone: what may be sent again waits for the next one, the rest fails. */
export function connectionLost(pending: Pending, reason: string): void {
  const { url, requests, connect_timeout_ms } = pending;
  const gives_up_ms = pending.clock.elapsed() + connect_timeout_ms;
  for (const request of [...requests.values()]) {
    const { sent, how, op } = request;
    if (request.abandoned) requests.delete(request.id);
    if (sent && !how.resend) {
      const message = `lost the connection to ${url} before ${op} was answered (${reason}); it may or may not be done`;
      fail(pending, request, "unreachable", message);
    }
    request.sent = false;
    if (!how.patient) request.gives_up_ms = gives_up_ms;
  }
}

/** Fails what has waited long enough for a connection. */
export function failUnreachable(pending: Pending, reason: string): void {
  const now = pending.clock.elapsed();
  const message = `cannot reach a Hivepost server at ${pending.url} (${reason}); start one with: hivepost serve, or set HIVEPOST_URL`;
  for (const request of [...pending.requests.values()]) {
    if (request.gives_up_ms <= now) fail(pending, request, "unreachable", message);
  }
}

/** Fails what has waited long enough for its answer. */
export function failOverdue(pending: Pending): void {
  const now = pending.clock.elapsed();
  for (const request of [...pending.requests.values()]) {
    if (request.times_out_ms > now || request.abandoned) continue;
    const waited = describeDuration(request.how.timeout_ms ?? pending.request_timeout_ms);
    const message = `${pending.url} did not answer ${request.op} within ${waited}; it may or may not be done`;
    abandon(pending, request, new BusError("unavailable", message));
  }
}

/** The server closed the connection over a frame larger than it takes: that one must not be sent again for ever. */
export function failLargest(pending: Pending): void {
  const sent = [...pending.requests.values()].filter((it) => it.sent);
  const [largest] = sent.sort((a, b) => b.frame.length - a.frame.length);
  if (!largest) return;
  const message = `${largest.op}: ${pending.url} does not take ${largest.frame.length} characters in one request; send less at a time`;
  fail(pending, largest, "body_too_large", message);
}

export function failAll({ requests }: Pending, error: BusError): void {
  for (const request of requests.values()) request.reject(error);
  requests.clear();
}

export function toBusError({ code, message, retry_after_ms }: StreamError): BusError {
  return new BusError(code, message, retry_after_ms === undefined ? {} : { retry_after_ms });
}
