import path from "node:path";
import type { run } from "node:test";
import { inspect } from "node:util";

type TestEvent = ReturnType<typeof run> extends AsyncIterable<infer Event> ? Event : never;
type Event<Type extends TestEvent["type"]> = Extract<TestEvent, { type: Type }>["data"];

/** What came of a run, in the words and the order in which Node sums one up. */
export type TestCounts = {
  readonly tests: number;
  readonly suites: number;
  readonly pass: number;
  readonly fail: number;
  readonly cancelled: number;
  readonly skipped: number;
  readonly todo: number;
  readonly duration_ms: number;
};

export type TestResults = {
  readonly counts: TestCounts;
  /** "file: test: why" of every test that was not run. */
  readonly skipped: readonly string[];
};

/**
 * Prints a line per test file as it ends, with what it printed if it failed, and at the end every failure in full. Two
 * thousand ticks tell nobody anything.
 */
export async function reportTests(events: AsyncIterable<TestEvent>): Promise<TestResults> {
  const report = createReport();
  for await (const event of events) report.note(event);
  const { counts, failures, skipped } = report;
  for (const failure of failures) console.log(`\n${failure}`);
  if (skipped.length > 0) console.log(`\nNOT RUN:\n${skipped.map((it) => `  ${it}`).join("\n")}`);
  return { counts: counts(), skipped };
}

/** Prints the counts as Node does: `ℹ tests 12`. */
export function printCounts(counts: TestCounts): void {
  for (const [name, count] of Object.entries(counts)) console.log(`ℹ ${name} ${Math.round(count)}`);
}

function createReport() {
  const output = new Map<string, string>();
  const failures: string[] = [];
  const skipped: string[] = [];
  let latest: Event<"test:summary"> | undefined;
  return {
    failures,
    skipped,
    counts: () => {
      // The summary of the whole run comes last, after those of the files.
      if (!latest || latest.file !== undefined) throw new Error("the test runner ended without a summary");
      return countsOf(latest);
    },
    note({ type, data }: TestEvent): void {
      if (type === "test:stdout" || type === "test:stderr") append(output, data);
      if (type === "test:fail") failures.push(...describeFailure(data));
      if (type === "test:pass") skipped.push(...describeSkipped(data));
      if (type === "test:summary") {
        latest = data;
        printFile(data, output);
      }
    },
  };
}

function append(output: Map<string, string>, { file, message }: Event<"test:stdout">): void {
  const name = shortName(file);
  output.set(name, (output.get(name) ?? "") + message);
}

function printFile(summary: Event<"test:summary">, output: ReadonlyMap<string, string>): void {
  if (summary.file === undefined) return;
  const name = shortName(summary.file);
  const { tests, skipped } = summary.counts;
  const parts = [`${tests} tests`, ...(skipped ? [`${skipped} skipped`] : []), `${Math.round(summary.duration_ms)} ms`];
  console.log(`${summary.success ? "✔" : "✖"} ${name} (${parts.join(", ")})`);
  if (!summary.success) process.stdout.write((output.get(name) ?? "").replaceAll(/^(?=.)/gm, "    "));
}

function countsOf({ counts, duration_ms }: Event<"test:summary">): TestCounts {
  const { tests, suites, passed, failed, cancelled, skipped, todo } = counts;
  return { tests, suites, pass: passed, fail: failed, cancelled, skipped, todo, duration_ms };
}

function describeSkipped({ name, file, skip, todo }: Event<"test:pass">): string[] {
  const reason = skip || todo;
  if (!reason) return [];
  return [`${shortName(file)}: ${name}${reason === true ? "" : `: ${reason}`}`];
}

/** Nothing for a suite that fails only because one of its tests does, which has been told already. */
function describeFailure({ name, file, line, column, details }: Event<"test:fail">): string[] {
  const { error } = details;
  if ("failureType" in error && error.failureType === "subtestsFailed") return [];
  const stack = inspect(error.cause ?? error).replaceAll(/^(?=.)/gm, "  ");
  return [`✖ ${name}\n  at ${shortName(file)}:${line}:${column}\n${stack}`];
}

function shortName(file: string | undefined): string {
  return file === undefined ? "(no file)" : path.relative(process.cwd(), path.resolve(file));
}
