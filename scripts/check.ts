import { spawnSync } from "node:child_process";
import path from "node:path";

/*
 * `npm run check`: types, lint, unused code, tests. `--without-tests` leaves the tests out, for whoever ran them already.
 * All of it runs even after a failure: one look should show everything that is wrong.
 */

type Step = { readonly name: string; readonly command: readonly string[] };

const bin = (name: string) => path.join("node_modules", ".bin", name);
const types = (project: string) => [bin("tsc"), "--noEmit", "--pretty", "false", "-p", project];

const steps: readonly Step[] = [
  { name: "types: everything", command: types("tsconfig.json") },
  { name: "types: contract and core, without Node or a browser", command: types("tsconfig.core.json") },
  { name: "types: the client in a browser", command: types("tsconfig.browser.json") },
  { name: "format and lint", command: [bin("biome"), "check", "--colors=off", "--error-on-warnings"] },
  { name: "unused files, exports and dependencies", command: [bin("knip"), "--no-progress"] },
  { name: "tests", command: [process.execPath, "scripts/run-tests.ts"] },
];

const left = process.argv.includes("--without-tests") ? steps.slice(0, -1) : steps;
const failed = left.filter((step) => !passes(step)).map(({ name }) => name);
if (failed.length > 0) console.log(`✖ failed: ${failed.join("; ")}`);
else console.log(`✔ all ${left.length} checks pass`);
process.exitCode = failed.length > 0 ? 1 : 0;

function passes({ name, command: [program = "", ...args] }: Step): boolean {
  console.log(`\n▶ ${name}`);
  const started = performance.now();
  const { status, error } = spawnSync(program, args, { stdio: "inherit" });
  if (error) console.log(`cannot run ${program}: ${error.message} (npm ci installs it)`);
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  console.log(`${status === 0 ? "✔" : "✖"} ${name} (${seconds} s)`);
  return status === 0;
}
