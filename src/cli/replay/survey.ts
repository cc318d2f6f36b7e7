import { limits } from "../../contract/limits.ts";
import type { AgentId } from "../../contract/messages.ts";
import { type AgentNames, assignAgents } from "./names.ts";
import { type BadRow, isBad, type Row, readRows } from "./rows.ts";

export type SurveyOptions = {
  readonly prefix: string;
  readonly agents: number | undefined;
  /** Rows to take, bad ones not counted. */
  readonly limit: number;
  /** Stop at the first bad row. */
  readonly strict: boolean;
};

/** What a recorded log holds, found by reading it once before anything is sent. */
export type Survey = {
  readonly file: string;
  readonly options: SurveyOptions;
  readonly rows: number;
  readonly bad_rows: number;
  /** The first few. */
  readonly bad: readonly BadRow[];
  readonly names: AgentNames;
  /** What the log calls the conversation → the agents that take part. */
  readonly conversations: ReadonlyMap<string, ReadonlySet<AgentId>>;
};

const bad_shown = 20;

/** @throws BadRowError for the first bad row, if the options are strict. */
export async function surveyLog(file: string, options: SurveyOptions, onRow: (rows: number) => void): Promise<Survey> {
  const names = assignAgents(options);
  const conversations = new Map<string, Set<AgentId>>();
  const bad: BadRow[] = [];
  let rows = 0;
  let bad_rows = 0;
  for await (const row of readRows(file)) {
    if (rows === options.limit) break;
    if (isBad(row) && options.strict) throw new BadRowError(file, row);
    if (isBad(row)) bad.push(row);
    else {
      enter(row, names, conversations);
      onRow(++rows);
    }
    bad_rows += bad.length > bad_shown ? bad.splice(bad_shown).length : 0;
  }
  return { file, options, rows, bad_rows: bad_rows + bad.length, bad, names, conversations };
}

function enter(row: Row, names: AgentNames, conversations: Map<string, Set<AgentId>>): void {
  const participants = conversations.get(row.conversation) ?? new Set();
  conversations.set(row.conversation, participants.add(names.agentOf(row.from)).add(names.agentOf(row.to)));
}

/** The good rows that a survey counted, read again. */
export async function* surveyedRows({ file, options, rows }: Survey): AsyncGenerator<Row> {
  let left = rows;
  if (left === 0) return;
  for await (const row of readRows(file)) {
    if (isBad(row)) continue;
    yield row;
    left -= 1;
    if (left === 0) return;
  }
  // The file has become shorter since it was surveyed.
  throw new Error(`${file} changed while it was replayed (${left} of ${Math.min(rows, options.limit)} rows are gone)`);
}

/** Conversations with more participants than the bus admits: their rows go without a conversation of their own. */
export function isTooLarge(participants: ReadonlySet<AgentId>): boolean {
  return participants.size > limits.participants;
}

export class BadRowError extends Error {
  override readonly name = "BadRowError";

  constructor(file: string, { line, problem }: BadRow) {
    super(`${file}, line ${line}: ${problem}; mend it, or leave out --strict to skip such lines`);
  }
}
