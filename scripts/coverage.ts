import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";

/** The least share of lines and of branches that tests must run, in percent. */
export const leastCoverage = 95;

type Share = { readonly total: number; readonly covered: number; readonly pct: number };
type FileCoverage = { readonly lines: Share; readonly branches: Share };

/**
 * Works out and prints how much of `src` ran, from what Node wrote to `rawFolder` (NODE_V8_COVERAGE): each process and
 * each worker thread adds its part. Returns whether it is enough.
 *
 * Files that no test loads count as not run at all, which the coverage built into `node --test` leaves out.
 */
export function reportCoverage(rawFolder: string): boolean {
  const folder = path.dirname(rawFolder);
  const files = ["--all", "--src=src", "--include=src/**/*.ts", ...typeOnlyFiles().map((file) => `--exclude=${file}`)];
  const places = [`--temp-directory=${rawFolder}`, `--reports-dir=${folder}`];
  const { status, stderr } = spawnSync(
    process.execPath,
    ["node_modules/c8/bin/c8.js", "report", ...files, ...places, "--reporter=json-summary", "--reporter=lcovonly"],
    { encoding: "utf8", env: { ...process.env, NODE_V8_COVERAGE: "" } },
  );
  if (status !== 0) throw new Error(`c8 could not read the coverage in ${rawFolder}: ${stderr}`);
  const { total, ...byFile } = JSON.parse(readFileSync(path.join(folder, "coverage-summary.json"), "utf8")) as Record<
    string,
    FileCoverage
  >;
  if (!total || total.lines.total === 0) throw new Error("coverage counted no file of src");
  printLowest(byFile);
  console.log(`ℹ coverage lines ${total.lines.pct} %, branches ${total.branches.pct} % (at least ${leastCoverage} %)`);
  return total.lines.pct >= leastCoverage && total.branches.pct >= leastCoverage;
}

function printLowest(byFile: Readonly<Record<string, FileCoverage>>): void {
  const low = Object.entries(byFile)
    .filter(([, { lines, branches }]) => Math.min(lines.pct, branches.pct) < leastCoverage)
    .sort(([, a], [, b]) => missing(b) - missing(a));
  if (low.length === 0) return;
  console.log(`\nBelow ${leastCoverage} % (coverage/lcov.info has the lines):`);
  for (const [file, { lines, branches }] of low) {
    console.log(`  ${path.relative(process.cwd(), file)}: lines ${lines.pct} %, branches ${branches.pct} %`);
  }
  console.log("");
}

function missing({ lines }: FileCoverage): number {
  return lines.total - lines.covered;
}

/**
 * What a line of a file may begin with if the file declares types and nothing else. Such a file runs nothing, and would
 * count as not covered. The formatter indents all but a statement's first and last line.
 */
const typesOnly = /^(?:(?:export |declare )*type |import type |declare |\/\/|\/\*|\s|[})\]|;]|$)/;

function typeOnlyFiles(): string[] {
  return globSync("src/**/*.ts").filter((file) =>
    readFileSync(file, "utf8")
      .split("\n")
      .every((line) => typesOnly.test(line)),
  );
}
