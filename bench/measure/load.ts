import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";
import { parseJson } from "../../src/base/json.ts";
import type { Hivepost } from "./hivepost.ts";

const generator = path.join(import.meta.dirname, "../load/main.ts");

/** Flags of bench/load/main.ts without their dashes. */
export type LoadFlags = Readonly<Record<string, number>>;

/** Runs the load generator, in its own process, against a server; resolves with what it measured. */
export async function runLoad<Result>(mode: string, server: Hivepost, flags: LoadFlags): Promise<Result> {
  const target = ["--url", server.url, "--token", server.token, "--server-pid", String(server.pid)];
  const rest = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  return (await runScript(generator, [mode, ...target, ...rest])) as Result;
}

/** Runs a script that ends by printing one line of JSON. */
export async function runScript(script: string, rest: readonly string[]): Promise<unknown> {
  const child = spawn(process.execPath, [script, ...rest], { stdio: ["ignore", "pipe", "inherit"] });
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (code !== 0) throw new Error(`${path.basename(script)} ${rest[0]} ended with ${code}`);
  return parseJson(printed.trim().split("\n").at(-1) ?? "");
}
