import { BusError } from "../contract/errors.ts";
import { visible } from "../core/rendering/visible.ts";
import { UsageError } from "./arguments.ts";

/** 0 done, 1 refused or failed, 2 wrong usage, 3 server not reachable. */
export type ExitCode = 0 | 1 | 2 | 3;

/** No server of ours answers: exit code 3. */
export class NotReachable extends Error {
  override readonly name = "NotReachable";
}

/** What went wrong, for a person, and the exit code that says so to a program. */
export function describeFailure(error: unknown): { readonly message: string; readonly code: ExitCode } {
  if (error instanceof UsageError) return { message: visible(error.message), code: 2 };
  if (error instanceof NotReachable) return { message: visible(error.message), code: 3 };
  if (error instanceof BusError) {
    return { message: visible(`${error.code}: ${error.message}`), code: error.code === "unreachable" ? 3 : 1 };
  }
  return { message: visible(describeSystemError(error)), code: 1 };
}

type SystemError = NodeJS.ErrnoException & { readonly address?: string; readonly port?: number };

const wayOut: Readonly<Record<string, (error: SystemError) => string>> = {
  EADDRINUSE: ({ address = "", port = "" }) =>
    `${address}:${port} is in use by another program; stop it, or choose another with --port (0 picks a free one)`,
  EADDRNOTAVAIL: ({ address = "" }) => `${address} is no address of this machine; choose another with --host`,
  EACCES: ({ path = "", message }) =>
    `no permission for ${path || message}; choose another place or mend its permissions`,
  EPERM: ({ path = "", message }) => `not permitted: ${path || message}; choose another place or mend its permissions`,
  EROFS: ({ path = "" }) => `${path} is on a read-only file system; choose another place`,
  ENOENT: ({ path = "" }) => `${path} does not exist`,
  EISDIR: ({ path = "", message }) => `${path || message} is a folder, where a file is wanted`,
  ENOTDIR: ({ path = "" }) => `${path}: a part of this path is a file, where a folder is wanted`,
  EEXIST: ({ path = "" }) => `${path} exists already`,
  ENOSPC: () => "no space is left on the disk; free some and try again",
  ENOTFOUND: ({ message }) => `there is no machine of that name (${message})`,
};

function describeSystemError(error: unknown): string {
  if (!(error instanceof Error)) return `something went wrong: ${String(error)}`;
  const { code = "" } = error as SystemError;
  return Object.hasOwn(wayOut, code) ? (wayOut[code]?.(error) ?? error.message) : error.message;
}
