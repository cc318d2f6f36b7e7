import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

/** A Hivepost server in a process and a data folder of its own; disposing of it stops it and removes the folder. */
export type Hivepost = AsyncDisposable & {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  readonly folder: string;
};

const program = path.join(import.meta.dirname, "../../bin/hivepost.js");
const bareProgram = path.join(import.meta.dirname, "../bare/server.ts");
const patience_ms = 20_000;

/**
 * @param flags Of `hivepost serve`, e.g. `--inbox-depth`.
 * @param wrapper A command to run the server under, e.g. `strace -f`.
 */
export function startHivepost(flags: readonly string[] = [], wrapper: readonly string[] = []): Promise<Hivepost> {
  const nodeFlags = (process.env["BENCH_NODE_FLAGS"] ?? "").split(" ").filter(Boolean);
  const serve = (folder: string) => ["serve", "--port", "0", "--data-dir", folder, "--log-level", "warn", ...flags];
  return startServer(
    (folder) => [...wrapper, process.execPath, ...nodeFlags, program, ...serve(folder)],
    wrapper.length > 0,
  );
}

/** The server of `bench/bare`. */
export function startBareServer(): Promise<Hivepost> {
  return startServer((folder) => [process.execPath, bareProgram, folder], false);
}

/** @param isWrapped Whether the command starts the server as a child of its own. */
async function startServer(commandFor: (folder: string) => readonly string[], isWrapped: boolean): Promise<Hivepost> {
  const folder = mkdtempSync(path.join(tmpdir(), "hivepost-bench-"));
  const [command = "", ...rest] = commandFor(folder);
  const masterKey = `${folder}.key`;
  const env = { ...process.env, HIVEPOST_MASTER_KEY_FILE: masterKey };
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"], env });
  const complaints = lastLines(child);
  const url = await listeningUrl(child, complaints);
  const token = readFileSync(path.join(folder, "admin.token"), "utf8").trim();
  const pid = isWrapped ? childOf(child.pid ?? 0) : (child.pid ?? 0);
  return {
    url,
    token,
    pid,
    folder,
    async [Symbol.asyncDispose]() {
      await stop(child, pid, complaints);
      rmSync(folder, { recursive: true });
      rmSync(masterKey, { force: true });
    },
  };
}

async function listeningUrl(child: ChildProcess, complaints: readonly string[]): Promise<string> {
  if (!child.stdout) throw new Error("the server has no standard output");
  const timer = setTimeout(() => child.kill("SIGKILL"), patience_ms);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /listening on (http:\S+)/.exec(line)?.[1];
      if (url) return url;
    }
    throw new Error(
      `the server ended, or said nothing for ${patience_ms} ms, before it listened: ${complaints.join("\n")}`,
    );
  } finally {
    clearTimeout(timer);
    child.stdout.resume();
  }
}

async function stop(child: ChildProcess, pid: number, complaints: readonly string[]): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    throw new Error(`the server ended by itself, with ${child.exitCode ?? child.signalCode}: ${complaints.join("\n")}`);
  }
  const ended = once(child, "exit");
  process.kill(pid, "SIGTERM");
  await ended;
}

const mostComplaints = 20;

/** The latest of what it wrote to standard error; grows as it writes. */
function lastLines({ stderr }: ChildProcess): readonly string[] {
  const lines: string[] = [];
  if (stderr) {
    createInterface({ input: stderr }).on("line", (line) => {
      lines.push(line);
      if (lines.length > mostComplaints) lines.shift();
    });
  }
  return lines;
}

/** The server itself, where the process we started is a wrapper around it. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}
