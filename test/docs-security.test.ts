import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { readDocument, section, tableRows } from "./support/documents.ts";

/*
 * In the last column of these tables stand the tests that show what the row says: `file` “name of a test in it” “another”.
 */

const requirements = tableRows(section(readDocument("docs/security.md"), "## OWASP ASVS 5.0"));
const sealing = tableRows(section(readDocument("docs/security.md"), "## Messages sealed end to end"));
const findings = tableRows(section(readDocument("docs/security-audit.md"), "## Findings"));

/** Items that the design of this project promises an answer to. */
const promised = [
  ...["2.4.1", "4.4.1", "4.4.2", "4.4.3", "4.4.4", "7.4.1", "8.2.2", "8.3.2", "8.4.1", "11.2.4", "11.3.2", "11.3.4"],
  ...["11.5.1", "12.1.1", "12.2.1", "12.3.2", "13.3.1", "13.3.2", "13.3.4", "14.2.1", "16.2.5", "16.4.2", "16.5.3"],
];

describe("the table of requirements", () => {
  it("answers every item that is promised, each once and in order", () => {
    const items = requirements.map(([item = ""]) => item);
    assert.deepEqual(
      promised.filter((it) => !items.includes(it)),
      [],
    );
    assert.deepEqual(items, [...new Set(items)].sort(byNumbers));
  });

  it("says what was decided, and names a test that exists, in every row", () => {
    assert.deepEqual(requirements.flatMap(problemsOf), []);
  });
});

describe("the table of sealing", () => {
  it("names a test that exists in every row", () => {
    assert.ok(sealing.length >= 10);
    assert.deepEqual(sealing.flatMap(problemsOf), []);
  });
});

describe("the findings of the audit", () => {
  it("have a severity and a fix, and a test that exists", () => {
    const severities = ["high", "medium", "low"];
    const ranks = findings.map(([, severity = ""]) => severities.indexOf(severity));
    assert.ok(ranks.length >= 10 && ranks.every((it) => it >= 0));
    assert.deepEqual(findings.flatMap(problemsOf), []);
  });

  it("are numbered from 1, the most severe first", () => {
    assert.deepEqual(
      findings.map(([number]) => number),
      findings.map((_, i) => String(i + 1)),
    );
    const ranks = findings.map(([, severity = ""]) => ["high", "medium", "low"].indexOf(severity));
    assert.deepEqual(
      ranks,
      ranks.toSorted((a, b) => a - b),
    );
  });
});

describe("the check of these tables", () => {
  it("finds a row without a test, a file that is not there, and a test that the file does not have", () => {
    const rows = [
      ["1", "said", "nothing to see"],
      ["2", "said", "`test/nothing.test.ts`"],
      ["3", "said", "`test/docs.test.ts` “are links that lead nowhere”"],
      ["4", "", "`test/docs.test.ts` “are links that lead somewhere”"],
      ["5", "said", "`test/docs.test.ts` “are links that lead somewhere”"],
    ];
    assert.deepEqual(rows.flatMap(problemsOf), [
      "1: names no test",
      "2: there is no test/nothing.test.ts",
      "3: test/docs.test.ts has no test “are links that lead nowhere”",
      "4: has an empty cell",
    ]);
  });
});

function problemsOf(row: readonly string[]): string[] {
  const named = [...(row.at(-1) ?? "").matchAll(/`(test\/[^`]+\.ts)`([^`]*)/g)];
  const problems = named.flatMap(([, file = "", names = ""]) => problemsIn(file, names));
  if (named.length === 0) problems.push("names no test");
  if (row.some((cell) => cell === "")) problems.push("has an empty cell");
  return problems.map((it) => `${row[0]}: ${it}`);
}

/** @param names What stands after the file, up to the next. */
function problemsIn(file: string, names: string): string[] {
  if (!existsSync(file)) return [`there is no ${file}`];
  const text = readFileSync(file, "utf8");
  return [...names.matchAll(/“([^”]+)”/g)]
    .map(([, name = ""]) => name)
    .filter((name) => !["it", "describe", "test"].some((it) => text.includes(`${it}(${JSON.stringify(name)}`)))
    .map((name) => `${file} has no test “${name}”`);
}

function byNumbers(a: string, b: string): number {
  const [one, other] = [a, b].map((it) => it.split(".").map(Number));
  for (const [i, number] of (one ?? []).entries()) {
    const difference = number - (other?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
