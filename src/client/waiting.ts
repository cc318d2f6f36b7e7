import { BusError, type ErrorCode } from "../contract/errors.ts";

/** How long to wait before asking again a server that is there but cannot just now. */
const pause_ms = 1_000;

/** Failures that pass without anybody changing the request. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unreachable",
  "unavailable",
  "internal",
  "storage_full",
  "lease_limit",
  "inbox_full",
  "rate_limited",
]);

/** Whether the same request may succeed later. */
export function isPassing(error: unknown): boolean {
  return error instanceof BusError && passing.has(error.code);
}

/** Waits before a request is made again; not for a server that is away, since the connection waits for that itself. */
export async function pauseAfter(error: BusError): Promise<void> {
  if (error.code === "unreachable") return;
  await new Promise((resolve) => setTimeout(resolve, error.retry_after_ms ?? pause_ms));
}
