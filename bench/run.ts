import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { renderReport } from "./report/report.ts";

/*
 * `npm run bench`: runs the benches one after the other, keeps each result in bench/results/, and puts them all into
 * docs/benchmarks.md.
 */

const folder = import.meta.dirname;
const { values } = parseArgs({
  options: {
    list: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    seconds: { type: "string" },
    render: { type: "boolean", default: false },
  },
});

const names = readdirSync(folder)
  .filter((file) => file.endsWith(".bench.ts"))
  .map((file) => file.slice(0, -".bench.ts".length))
  .sort();
const unknown = values.only.find((name) => !names.includes(name));

if (unknown) {
  process.stderr.write(`There is no bench ${unknown}. There are: ${names.join(", ")}.\n`);
  process.exitCode = 2;
} else if (values.list) {
  for (const name of names) process.stdout.write(`${name.padEnd(16)} ${questionOf(name)}\n`);
} else {
  if (!values.render) await runAll(values.only.length > 0 ? values.only : names);
  renderReport(path.join(folder, "results"), path.join(folder, "../docs"));
}

/** Runs each; one that fails does not keep the others from running, but is told in the exit code. */
async function runAll(chosen: readonly string[]): Promise<void> {
  for (const name of chosen) {
    process.stderr.write(`\n${name}: ${questionOf(name)}\n`);
    const result = await runOne(name);
    if (result === undefined) process.exitCode = 1;
    else {
      process.stdout.write(`${result}\n`);
      mkdirSync(path.join(folder, "results"), { recursive: true });
      writeFileSync(path.join(folder, "results", `${name}.json`), `${result}\n`);
    }
  }
}

/** The line of JSON that a bench prints; undefined where it failed. */
async function runOne(name: string): Promise<string | undefined> {
  const flags = (["rounds", "seconds"] as const).flatMap((flag) => {
    const value = values[flag];
    return value === undefined ? [] : [`--${flag}`, value];
  });
  const script = path.join(folder, `${name}.bench.ts`);
  const child = spawn(process.execPath, [script, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  return code === 0 ? printed.trim() : undefined;
}

/** The first line of a bench's file. */
function questionOf(name: string): string {
  const [first = ""] = readFileSync(path.join(folder, `${name}.bench.ts`), "utf8").split("\n");
  return first.replace(/^\/\/ /, "");
}
