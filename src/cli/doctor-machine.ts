import { misspelt } from "./config.ts";
import type { Finding } from "./finding.ts";

/** 24.15.0 is the first Node whose SQLite (3.51.3) does not lose pages when a checkpoint meets a commit. */
const least = { node: [24, 15, 0], sqlite: [3, 51, 3] } as const;

export function* checkProgram(versions: NodeJS.ProcessVersions): Generator<Finding> {
  const { node, sqlite = "0.0.0" } = versions;
  yield atLeast(node, least.node)
    ? { check: "Node", verdict: "right", text: node }
    : { check: "Node", verdict: "wrong", text: `${node} is too old`, mend: "install Node 24.15 or newer" };
  yield atLeast(sqlite, least.sqlite)
    ? { check: "SQLite", verdict: "right", text: sqlite }
    : {
        check: "SQLite",
        verdict: "wrong",
        text: `${sqlite} can damage databases`,
        mend: "install Node 24.15 or newer",
      };
}

export function* checkEnvironment(environment: Readonly<Record<string, string | undefined>>): Generator<Finding> {
  for (const text of misspelt(Object.keys(environment))) {
    yield { check: "environment", verdict: "odd", text, mend: "correct its name, or unset it" };
  }
}

/** Before this was written no clock was right. */
const earliest_ms = Date.UTC(2026, 0, 1);
const tolerated_ms = 5_000;

/** @param server_ms What the server's clock said, to the second; undefined without a server. */
export function* checkClock(now_ms: number, server_ms: number | undefined): Generator<Finding> {
  const difference_ms = server_ms === undefined ? 0 : Math.abs(now_ms - server_ms);
  const mend = "set the clock by the network's time (NTP)";
  if (now_ms < earliest_ms) {
    yield { check: "clock", verdict: "wrong", text: `it says ${new Date(now_ms).toISOString()}, which is past`, mend };
  } else if (difference_ms > tolerated_ms) {
    const text = `it differs from the server's by ${Math.round(difference_ms / 1_000)} s; deliver_at and expires_at are judged by the server's`;
    yield { check: "clock", verdict: "odd", text, mend };
  } else yield { check: "clock", verdict: "right", text: new Date(now_ms).toISOString() };
}

function atLeast(version: string, wanted: readonly number[]): boolean {
  const parts = version.split(".").map(Number);
  for (const [i, part] of wanted.entries()) {
    const found = parts[i] ?? 0;
    if (found !== part) return found > part;
  }
  return true;
}
