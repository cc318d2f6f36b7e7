import type { AuditEntry } from "../../contract/audit.ts";
import { beginning, type Link } from "./chain.ts";

/** What can be wrong with an audit log. */
export type AuditProblem =
  /** A line is not what was written there. */
  | "edited"
  /** Lines are missing. */
  | "removed"
  | "reordered"
  /** A line stands where none was written. */
  | "inserted"
  /** The last lines are missing: the database knows of more. */
  | "cut_off"
  /** The database does not know, or not credibly, where the log ends; so nobody can say whether it was cut off. */
  | "head_lost";

/** A line as the judge needs it; `entry` where its own MAC is right. */
export type JudgedLine = {
  readonly file: string;
  readonly line: number;
  readonly entry: Pick<AuditEntry, "seq" | "mac" | "prev" | "at"> | undefined;
};

export type Judgement =
  | { readonly whole: true }
  | {
      readonly whole: false;
      readonly problem: AuditProblem;
      /** Of the first wrong line, counted from 0; the number of lines where it is the end that is wrong. */
      readonly index: number;
      readonly explanation: string;
    };

/**
 * Says whether lines are one unbroken chain up to the head, and if not, what is wrong with the first that is not.
 *
 * @param kept Undefined where none was ever kept, `untrusted` where what is kept has no right seal. A log may be ahead of its head: a crash between the two leaves
 * it so, and its lines vouch for themselves.
 */
export function judge(lines: readonly JudgedLine[], kept: Link | "untrusted" | undefined): Judgement {
  const head = kept === "untrusted" ? undefined : kept;
  let last = beginning;
  for (const [index, { entry }] of lines.entries()) {
    if (!entry || !follows(entry, last)) return explain(lines, index, { last, head });
    last = entry;
  }
  // A hive that has written nothing yet.
  if (lines.length === 0 && kept === undefined) return { whole: true };
  return judgeEnd(lines, last, head);
}

function judgeEnd(lines: readonly JudgedLine[], last: Link, head: Link | undefined): Judgement {
  const wrong = (problem: AuditProblem, index: number, explanation: string): Judgement => ({
    whole: false,
    problem,
    index,
    explanation,
  });
  if (!head) {
    return wrong("head_lost", lines.length, "the database does not say, or not credibly, where the log ends");
  }
  if (head.seq > last.seq) {
    return wrong("cut_off", lines.length, `${entriesFromTo(last.seq + 1, head.seq)} cut off at the end`);
  }
  const noted = head.seq === 0 ? beginning : lines[head.seq - 1]?.entry;
  if (noted?.mac === head.mac) return { whole: true };
  return wrong("edited", head.seq - 1, `entry ${head.seq} is not the one that the database knows`);
}

type Around = { readonly last: Link; readonly head: Link | undefined };

function explain(lines: readonly JudgedLine[], index: number, around: Around): Judgement {
  const entry = lines[index]?.entry;
  const found = entry ? explainGenuine(lines, entry, around.last) : explainForeign(lines, index, around);
  return { whole: false, index, ...found };
}

type Explanation = { readonly problem: AuditProblem; readonly explanation: string };

/** A line whose MAC is wrong: it stands in the place of another, or between two that belong together. */
function explainForeign(lines: readonly JudgedLine[], index: number, { last, head }: Around): Explanation {
  const next = lines.slice(index).find((it) => it.entry)?.entry;
  const isBetween = next ? follows(next, last) : head?.seq === last.seq;
  if (isBetween) return { problem: "inserted", explanation: "no server wrote this line" };
  return { problem: "edited", explanation: `entry ${last.seq + 1} stood here, and this is not what it said` };
}

/** A line that a server wrote, but not in this place. */
function explainGenuine(
  lines: readonly JudgedLine[],
  entry: NonNullable<JudgedLine["entry"]>,
  last: Link,
): Explanation {
  const { seq } = entry;
  const expected = last.seq + 1;
  if (seq === expected) {
    return {
      problem: "edited",
      explanation: `entry ${seq} comes from another copy of the log than the line before it`,
    };
  }
  const times = new Map<number, number>();
  for (const it of lines) if (it.entry) times.set(it.entry.seq, (times.get(it.entry.seq) ?? 0) + 1);
  if (seq < expected || (times.get(seq) ?? 0) > 1) {
    return { problem: "inserted", explanation: `entry ${seq} stands here, and in its own place too` };
  }
  const missing = Array.from({ length: seq - expected }, (_, offset) => expected + offset).filter(
    (it) => !times.has(it),
  );
  const [first] = missing;
  if (first === undefined) {
    return { problem: "reordered", explanation: `entry ${seq} stands where entry ${expected} should` };
  }
  return {
    problem: "removed",
    explanation: `${entriesFromTo(first, missing.at(-1) ?? first)} missing before entry ${seq}`,
  };
}

function follows(entry: NonNullable<JudgedLine["entry"]>, last: Link): boolean {
  return entry.seq === last.seq + 1 && entry.prev === last.mac;
}

function entriesFromTo(from: number, to: number): string {
  return from === to ? `entry ${from} is` : `entries ${from} to ${to} are`;
}
