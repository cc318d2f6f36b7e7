import { BusError, type ErrorCode, errorStatus } from "../contract/errors.ts";
import type { StreamError } from "../contract/stream.ts";

/** RFC 9457, with the code that programs switch on. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly request_id?: string;
  readonly retry_after_ms?: number;
};

export const problemType = "application/problem+json; charset=utf-8";

/**
 * A request that failed at the level of HTTP, where the status says more than the code's own (405, 415, 426).
 * Everything else throws a BusError.
 */
export class HttpError extends BusError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(code, message);
    this.status = status;
    this.headers = headers;
  }
}

/** An error the caller may see as it is; any other is ours, and is told as `internal`. */
export function isExpected(error: unknown): error is BusError {
  return error instanceof BusError && error.code !== "internal";
}

/** What the caller is told of an error. @param request_id Leads from an `internal` error to its line in the log. */
export function toProblem(error: unknown, request_id: string): Problem {
  const { code, message: detail, retry_after_ms } = toStreamError(error, request_id);
  return {
    type: `/docs/errors#${code}`,
    title: titleOf(code),
    status: error instanceof HttpError ? error.status : errorStatus[code],
    detail,
    code,
    request_id,
    ...(retry_after_ms !== undefined && { retry_after_ms }),
  };
}

/** The same for a frame or a tool's result. */
export function toStreamError(error: unknown, request_id: string): StreamError {
  if (!isExpected(error)) {
    return { code: "internal", message: `something went wrong here; the server's log has it under ${request_id}` };
  }
  const { code, message, retry_after_ms } = error;
  return { code, message, ...(retry_after_ms !== undefined && { retry_after_ms }) };
}

/** The headers by which HTTP itself speaks of a problem. */
export function problemHeaders(problem: Problem): Record<string, string> {
  const headers: Record<string, string> = {};
  const seconds = retryAfter(problem);
  if (seconds !== undefined) headers["retry-after"] = seconds;
  if (problem.status === 401) headers["www-authenticate"] = 'Bearer realm="hivepost"';
  return headers;
}

/** `Retry-After` is in whole seconds; rounding up keeps the promise. */
function retryAfter(problem: Problem): string | undefined {
  return problem.retry_after_ms === undefined
    ? undefined
    : String(Math.max(1, Math.ceil(problem.retry_after_ms / 1_000)));
}

function titleOf(code: ErrorCode): string {
  const words = code.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
