import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { reportCoverage } from "./coverage.ts";
import { printCounts, reportTests } from "./test-results.ts";

/*
 * `npm test`: every test, with coverage. `npm test -- test/server` runs the tests below a path and asks for no coverage.
 *
 * A test that needs a program this machine lacks (chromium, strace, …) is skipped and said to be; with CI=true that is a
 * failure, because there nothing may be left out.
 */

const minute_ms = 60_000;
/** A test that hangs must not hang the run. The longest real ones kill servers for a few minutes. */
const longestTest_ms = 10 * minute_ms;
/** More files at once only make each other's timing worse on a small machine. */
const filesAtOnce = 2;

const asked = process.argv.slice(2);
const whole = asked.length === 0;
const inCi = process.env["CI"] === "true";
const rawCoverage = path.resolve("coverage/raw");

if (whole) {
  rmSync("coverage", { recursive: true, force: true });
  mkdirSync(rawCoverage, { recursive: true });
  // Test files, the servers they start and the threads of those inherit it, and each writes its part when it ends.
  process.env["NODE_V8_COVERAGE"] = rawCoverage;
}

const { counts, skipped } = await reportTests(
  run({ globPatterns: testFiles(asked), concurrency: filesAtOnce, timeout: longestTest_ms }),
);
const enough = whole ? reportCoverage(rawCoverage) : true;

const complaints = [
  ...(counts.tests === 0 ? ["no test was found"] : []),
  ...(counts.fail + counts.cancelled > 0 ? [`${counts.fail + counts.cancelled} tests failed`] : []),
  ...(inCi && skipped.length > 0 ? [`${skipped.length} tests were not run, and CI=true`] : []),
  ...(enough ? [] : ["too little of src is covered"]),
];
console.log("");
printCounts(counts);
for (const complaint of complaints) console.log(`✖ ${complaint}`);
if (complaints.length === 0) console.log("✔ tests pass");
process.exitCode = complaints.length === 0 ? 0 : 1;

function testFiles(paths: readonly string[]): string[] {
  if (paths.length === 0) return ["test/**/*.test.ts"];
  return paths.map((it) => (it.endsWith(".ts") ? it : path.posix.join(it, "**/*.test.ts")));
}
