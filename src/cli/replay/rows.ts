import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { limits } from "../../contract/limits.ts";
import { type MessageType, type Priority, priorities } from "../../contract/messages.ts";

/** One thing said, as a recorded log has it; names as recorded. */
export type Row = {
  /** Line of the file, from 1. */
  readonly line: number;
  readonly from: string;
  readonly to: string;
  /** What the log calls the conversation; rows without one share the pair's. */
  readonly conversation: string;
  readonly at_ms: number | undefined;
  /** The time as the log spells it. */
  readonly recorded_at: string | undefined;
  readonly text: string;
  readonly priority: Priority;
  readonly message_type: MessageType;
};

/** A line that is no row, and why. */
export type BadRow = { readonly line: number; readonly problem: string };

/** Longer lines are no conversation; they are skipped without being held in memory. */
const line_limit_bytes = 8 * 1_024 * 1_024;

/** The rows of a JSON lines file, plain or gzip, in order, with its bad lines among them; empty lines are skipped. */
export async function* readRows(file: string): AsyncGenerator<Row | BadRow> {
  let line = 0;
  for await (const bytes of linesOf(await openLog(file))) {
    line += 1;
    if (bytes?.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09)) continue;
    yield bytes === undefined ? { line, problem: `longer than ${line_limit_bytes} bytes` } : parseRow(line, bytes);
  }
}

export function isBad(row: Row | BadRow): row is BadRow {
  return "problem" in row;
}

/** Known by its first two bytes, whatever the file is called. */
async function openLog(file: string): Promise<Readable> {
  const start = new Uint8Array(2);
  await using handle = await open(file, "r");
  await handle.read(start, 0, 2, 0);
  const stream = createReadStream(file, { highWaterMark: 1_024 * 1_024 });
  if (start[0] !== 0x1f || start[1] !== 0x8b) return stream;
  const unzipped = createGunzip();
  stream.on("error", (error) => unzipped.destroy(error));
  return stream.pipe(unzipped);
}

/**
 * Splits on line feeds alone: texts may hold U+2028, which other line readers split at. Yields undefined for a line that
 * is too long.
 */
async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array | undefined> {
  let parts: Uint8Array[] = [];
  let length = 0;
  const take = (part: Uint8Array) => {
    length += part.length;
    if (length <= line_limit_bytes) parts.push(part);
    else parts = [];
  };
  const finish = () => {
    const line = length > line_limit_bytes ? undefined : parts.length === 1 ? parts[0] : Buffer.concat(parts);
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      take(chunk.subarray(start, end));
      yield finish();
      start = end + 1;
    }
    take(chunk.subarray(start));
  }
  if (length > 0) yield finish();
}

/** What the fields are called in the logs people have. */
const spellings = {
  from: ["from", "from_agent", "author", "sender", "source"],
  to: ["to", "to_agent", "target", "recipient"],
  conversation: ["conversation", "conversation_id", "thread", "thread_id"],
  at: ["at", "time", "timestamp", "date", "created_at"],
  text: ["text", "content", "message", "body"],
  priority: ["priority"],
  message_type: ["message_type", "type"],
} as const;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

function parseRow(line: number, bytes: Uint8Array): Row | BadRow {
  const fields = parseObject(bytes);
  if (typeof fields === "string") return { line, problem: fields };
  const from = field(fields, "from");
  const to = field(fields, "to");
  const text = field(fields, "text");
  if (!from) return { line, problem: `no ${spellings.from.join(", ")}` };
  if (!to) return { line, problem: `no ${spellings.to.join(", ")}` };
  if (text === undefined) return { line, problem: `no ${spellings.text.join(", ")}` };
  const problem = problemOfText(text);
  if (problem) return { line, problem };
  return { line, from, to, text, ...conversationOf(fields, from, to), ...timeOf(fields), ...kindOf(fields) };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | string {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    return "no JSON object";
  } catch (error) {
    return error instanceof SyntaxError ? "no JSON" : "no UTF-8";
  }
}

/** The field under the first of its spellings that holds text or a number. */
function field(fields: Record<string, unknown>, name: keyof typeof spellings): string | undefined {
  for (const spelling of spellings[name]) {
    const value = fields[spelling];
    if (typeof value === "string" || typeof value === "number") return String(value);
  }
  return undefined;
}

function problemOfText(text: string): string | undefined {
  if (text.length > limits.content_length) return `text of ${text.length} characters; ${limits.content_length} fit`;
  return text.isWellFormed() ? undefined : "text with half a surrogate pair, which is no character";
}

/** A named conversation, or project and issue; else whatever the two say to each other. */
function conversationOf(fields: Record<string, unknown>, from: string, to: string): Pick<Row, "conversation"> {
  const named = field(fields, "conversation");
  if (named !== undefined) return { conversation: named };
  const { project, repository, issue } = fields;
  if (issue !== undefined) return { conversation: `${String(project ?? repository ?? "")}#${String(issue)}` };
  return { conversation: `between ${[from, to].sort().join(" and ")}` };
}

function timeOf(fields: Record<string, unknown>): Pick<Row, "at_ms" | "recorded_at"> {
  const recorded_at = field(fields, "at");
  if (recorded_at === undefined) return { at_ms: undefined, recorded_at };
  const at_ms = readTime(recorded_at);
  return { at_ms: Number.isNaN(at_ms) ? undefined : at_ms, recorded_at };
}

/** RFC 3339; the same with a space and no zone, taken as UTC; or seconds or milliseconds since 1970. */
function readTime(text: string): number {
  if (/^\d{9,10}(\.\d+)?$/.test(text)) return Number(text) * 1_000;
  if (/^\d{12,13}$/.test(text)) return Number(text);
  const [, date, time] = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)$/.exec(text) ?? [];
  return Date.parse(date === undefined ? text : `${date}T${time}Z`);
}

const messageTypes: readonly MessageType[] = ["task", "status", "question", "response"];

function kindOf(fields: Record<string, unknown>): Pick<Row, "priority" | "message_type"> {
  const priority = priorities.find((it) => it === field(fields, "priority")) ?? "normal";
  const message_type = messageTypes.find((it) => it === field(fields, "message_type")) ?? "task";
  return { priority, message_type };
}
