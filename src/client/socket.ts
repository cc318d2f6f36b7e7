import { BusError, type ErrorCode, errorStatus } from "../contract/errors.ts";

/** One WebSocket to one server, made by a browser or by Node. Text frames only. */
export type Socket = {
  /** Hands a frame to the network; may wait for the end of this turn, so that frames leave together. */
  send(frame: string): void;
  /** Ends it without waiting for the other side; `closed` is still called. */
  close(): void;
  /** Stops and resumes reading, so that the sender slows down; absent where the platform has no such thing. */
  readonly pause?: () => void;
  readonly resume?: () => void;
};

export type SocketListener = {
  opened(): void;
  received(frame: string): void;
  /** Exactly once, also where it never opened. */
  closed(closure: Closure): void;
};

export type Closure = {
  /** What happened, for people: `connect ECONNREFUSED 127.0.0.1:4483`. */
  readonly reason: string;
  /** WebSocket close code, where the connection had been open. */
  readonly code?: number;
  /** Set where the server answered, and trying again would bring the same answer: a wrong token, a wrong path. */
  readonly refusal?: BusError;
};

export type SocketTarget = {
  /** Of the server, `http://127.0.0.1:4483`, without a slash at the end. */
  readonly url: string;
  readonly token: string;
  readonly timeout_ms: number;
};

/** Starts to open a socket; what becomes of it is told to the listener, never thrown. */
export type OpenSocket = (target: SocketTarget, listener: SocketListener) => Socket;

/** `http://host/base` → `ws://host/base/stream`. */
export function streamUrl(url: string, path: string): string {
  return url.replace(/^http/, "ws") + path;
}

/** What to say of an open connection that was closed. */
export function closed(code: number, reason: string): Closure {
  return { code, reason: `the connection was closed: ${reason ? `${reason} (${code})` : code}` };
}

/** Makes of a refused handshake (HTTP status and body) what the connection needs to know. */
export function refusedHandshake(url: string, status: number, body: string): Closure {
  const problem = parseProblem(body);
  const reason = `${url} answered ${status}${problem ? `: ${problem.message}` : ""}`;
  if (status === 429 || status >= 500) return { reason };
  if (problem) return { reason, refusal: new BusError(problem.code, problem.message) };
  if (status === 401) return { reason, refusal: new BusError("unauthenticated", `${url} does not accept the token`) };
  return {
    reason,
    refusal: new BusError("unreachable", `what listens at ${url} is no Hivepost server: it answered ${status}`),
  };
}

function parseProblem(body: string): { code: ErrorCode; message: string } | undefined {
  try {
    const { code, detail, title } = JSON.parse(body) as Record<string, unknown>;
    if (typeof code !== "string" || !Object.hasOwn(errorStatus, code)) return undefined;
    return { code: code as ErrorCode, message: String(detail ?? title ?? code) };
  } catch {
    return undefined; // Not JSON: a proxy or another program answered; the caller says so.
  }
}
