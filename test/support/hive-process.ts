import { readFileSync } from "node:fs";
import path from "node:path";
import { type SpawnOptions, spawnServer } from "../cli/spawned.ts";

/** A server in a process of its own, on its own data folder. Disposing it stops it gracefully. */
export type HiveProcess = AsyncDisposable & {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** What it has written to standard error. */
  errors(): string;
  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<number | string>;
};

/** Starts a server on a free port and waits until it listens. */
export async function startHive(folder: string, options: SpawnOptions = {}): Promise<HiveProcess> {
  const { process, url, ended, err, [Symbol.asyncDispose]: dispose } = await spawnServer(folder, options);
  return {
    url,
    token: readFileSync(path.join(folder, "admin.token"), "utf8").trim(),
    pid: process.pid ?? 0,
    ended,
    errors: err,
    async end(signal) {
      process.kill(signal);
      return ended;
    },
    [Symbol.asyncDispose]: dispose,
  };
}
