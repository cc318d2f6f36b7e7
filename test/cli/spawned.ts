import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { configurationFolder } from "../support/configuration.ts";
import { eventually } from "../support/eventually.ts";

/** A process of the real program. Disposing it stops it, if it still runs. */
export type Spawned = AsyncDisposable & {
  readonly process: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
};

const stop_ms = 15_000;

export type SpawnOptions = {
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly program?: string;
  readonly execArgv?: readonly string[];
};

/** Runs `node bin/hivepost.js …` as a person would. */
export function spawnHivepost(argv: readonly string[], options: SpawnOptions = {}): Spawned {
  const { program = "bin/hivepost.js", execArgv = [], stdin } = options;
  const child = spawn(process.execPath, [...execArgv, program, ...argv], {
    env: { ...inherited(), ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const kept = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    kept.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    kept.err += text;
  });
  if (stdin !== undefined) child.stdin.end(stdin);
  const ended = once(child, "close").then(([code, signal]: (number | string)[]) => code ?? signal ?? "nothing");
  return {
    process: child,
    out: () => kept.out,
    err: () => kept.err,
    ended,
    async [Symbol.asyncDispose]() {
      // A killed process writes no coverage, so it may stop by itself first.
      child.kill("SIGTERM");
      await Promise.race([ended, sleep(stop_ms, undefined, { ref: false })]);
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Runs a command to its end. */
export async function runHivepost(argv: readonly string[], options: SpawnOptions = {}) {
  await using spawned = spawnHivepost(argv, { stdin: "", ...options });
  return { code: await spawned.ended, out: spawned.out(), err: spawned.err() };
}

export type SpawnedServer = Spawned & { readonly url: string };

/** On a machine with much else to do, a program may take long to start. */
const start_ms = 60_000;

/** Starts a server on a free port and waits until it listens. */
export async function spawnServer(folder: string, options: SpawnOptions = {}): Promise<SpawnedServer> {
  await using starting = new AsyncDisposableStack();
  const spawned = starting.use(spawnHivepost(["serve", "--port", "0", "--data-dir", folder], options));
  const listening = () => {
    assert.equal(spawned.process.exitCode, null, spawned.err());
    return /^listening on (https?:\S+)$/m.exec(spawned.out())?.[1];
  };
  const url = await eventually("the server listens", listening, start_ms);
  starting.move();
  return { ...spawned, url };
}

/** This process's environment, without what would change the program's mind; coverage stays. */
function inherited(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(HIVEPOST_|npm_)/.test(name));
  return { ...Object.fromEntries(kept), XDG_CONFIG_HOME: configurationFolder };
}
