import { BusError } from "../../contract/errors.ts";

/** What an error of SQLite means for those who wait. */
export type FailureKind =
  /** No space left: nothing was changed, and later it may work. */
  | "full"
  /** Another program holds the write lock: nothing was changed, and soon it may work. */
  | "busy"
  /** The disk or the file cannot be trusted any more: stop before anything is promised that is not kept. */
  | "fatal"
  /** A mistake in this one operation. */
  | "other";

/** Primary result codes of SQLite. Source: https://www.sqlite.org/rescode.html */
const codes = { busy: 5, readOnly: 8, ioError: 10, corrupt: 11, full: 13, cantOpen: 14, notADatabase: 26 } as const;

function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  return error.errcode & 0xff;
}

export function failureOf(error: unknown): FailureKind {
  const code = primaryCode(error);
  if (code === codes.full) return "full";
  if (code === codes.busy) return "busy";
  const isFatal =
    code === codes.ioError || code === codes.corrupt || code === codes.notADatabase || code === codes.cantOpen;
  return isFatal || code === codes.readOnly ? "fatal" : "other";
}

export function isDamage(error: unknown): boolean {
  const code = primaryCode(error);
  return code === codes.corrupt || code === codes.notADatabase;
}

function storageFull(): BusError {
  return new BusError(
    "storage_full",
    "The disk of the data folder is full: nothing was changed. Free some space; the server goes on by itself.",
    { retry_after_ms: 5_000 },
  );
}

export function unavailable(message: string, options: ErrorOptions & { retry_after_ms?: number } = {}): BusError {
  return new BusError("unavailable", message, { retry_after_ms: 1_000, ...options });
}

/** What crosses from a thread: an Error would lose its code on the way. */
export type WireError = { readonly message: string; readonly kind: FailureKind; readonly stack?: string };

export function toWireError(error: unknown): WireError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { message, kind: failureOf(error), ...(stack !== undefined && { stack }) };
}

export function fromWireError({ message, kind, stack }: WireError): Error {
  if (kind === "full") return storageFull();
  if (kind === "busy") return unavailable("Another program is writing to the database file: nothing was changed.");
  return new Error(message, { cause: stack });
}
