import { readFile } from "node:fs/promises";
import { toTimestamp } from "../base/time.ts";
import { quoted, UsageError } from "./arguments.ts";
import { suggestion } from "./nearest.ts";

/** As much of JSON Schema as the table of operations uses. */
export type Schema = {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly pattern?: string;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
};

/** What reading values takes besides the command line. */
export type Surroundings = {
  readonly now: () => number;
  readonly readStdin: () => Promise<string>;
};

/** How a field is written on a command line. */
export type Kind =
  | "choice"
  | "address"
  | "capabilities"
  | "list"
  | "switch"
  | "time"
  | "duration"
  | "number"
  | "text"
  | "json";

export function kindOf(field: string, schema: Schema): Kind {
  if (schema.enum) return "choice";
  if (field === "to") return "address";
  if (field === "capabilities") return "capabilities";
  if (field.endsWith("_ms")) return "duration";
  if (schema.type === "string") return schema.pattern?.includes("[Tt]") ? "time" : "text";
  return kindOfType(schema);
}

function kindOfType(schema: Schema): Kind {
  const ofTexts = schema.items?.type === "string" || schema.items?.enum !== undefined;
  if (schema.type === "array" && ofTexts) return "list";
  if (schema.type === "boolean") return "switch";
  return schema.type === "integer" || schema.type === "number" ? "number" : "json";
}

/** One field as given: `label` is what messages call it, `--priority` or `the priority`. */
export type Value = {
  readonly field: string;
  readonly label: string;
  readonly texts: readonly string[];
  readonly schema: Schema;
};

/** What a field's text means. @throws UsageError saying what was expected. */
export async function readValue(value: Value, around: Surroundings): Promise<unknown> {
  return await readers[kindOf(value.field, value.schema)](value, value.texts[0] ?? "", around);
}

const readers: Readonly<Record<Kind, (value: Value, text: string, around: Surroundings) => unknown>> = {
  choice,
  address,
  capabilities: ({ label, texts }, text) =>
    text.startsWith("[") ? parsed(label, text) : texts.flatMap((it) => it.split(",")).map(capability),
  list: ({ texts }) => texts.flatMap((it) => it.split(",")),
  switch: () => true,
  time,
  duration,
  number,
  text: (_, text) => text,
  json,
};

function choice({ label, schema }: Value, text: string): string {
  const choices = schema.enum ?? [];
  if (choices.includes(text)) return text;
  throw new UsageError(`${label} is one of ${choices.join(", ")}, not ${quoted(text)}${suggestion(text, choices)}`);
}

/** An agent's id stays text; anything else becomes an address. */
function address({ label }: Value, text: string): unknown {
  const [, kind, name] = /^(group|capability):(.+)$/.exec(text) ?? [];
  if (kind !== undefined) return { [kind]: name };
  if (text === "broadcast") return { broadcast: true };
  return text.startsWith("{") ? parsed(label, text) : text;
}

function capability(text: string): object {
  const [, name = text, level] = /^(.*):(\d+)$/.exec(text) ?? [];
  return level === undefined ? { name } : { name, level: Number(level) };
}

function number({ label, schema }: Value, text: string): number {
  const value = Number(text);
  const whole = schema.type !== "integer" || Number.isInteger(value);
  const within = value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity);
  if (text.trim() !== "" && whole && within) return value;
  const kind = schema.type === "integer" ? "a whole number" : "a number";
  const range = schema.maximum === undefined ? "" : ` from ${schema.minimum ?? 0} to ${schema.maximum}`;
  throw new UsageError(`${label} wants ${kind}${range}, not ${quoted(text)}`);
}

const units_ms: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function duration({ label }: Value, text: string): number {
  const value = milliseconds(text);
  if (value !== undefined) return value;
  throw new UsageError(`${label} wants a duration such as 500ms, 30s, 5m or 2h, not ${quoted(text)}`);
}

/** Durations count from now: back for `since` and `until`, else forward. */
function time({ field, label }: Value, text: string, around: Surroundings): string {
  const direction = field === "since" || field === "until" ? -1 : 1;
  const distance_ms = /[a-z]$/.test(text) ? milliseconds(text) : undefined;
  const at_ms = distance_ms === undefined ? Date.parse(text) : around.now() + direction * distance_ms;
  if (Math.abs(at_ms) <= lastMoment_ms) return toTimestamp(at_ms);
  throw new UsageError(
    `${label} wants a time such as 2026-11-22T10:00:00Z or a duration such as 10m, not ${quoted(text)}`,
  );
}

/** The year 9999 still has four digits, as RFC 3339 wants. */
const lastMoment_ms = Date.UTC(9999, 11, 31);

function milliseconds(text: string): number | undefined {
  const [, count = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|min|h|d)?$/.exec(text) ?? [];
  const unit_ms = units_ms[unit];
  return count === "" || unit_ms === undefined ? undefined : Math.round(Number(count) * unit_ms);
}

async function json({ label }: Value, text: string, around: Surroundings): Promise<unknown> {
  if (text === "-") return parsed(`${label} from standard input`, await around.readStdin());
  if (!text.startsWith("@")) return parsed(label, text);
  const file = text.slice(1);
  const content = await readFile(file, "utf8").catch((cause: Error) => {
    throw new UsageError(`${label}: cannot read ${file}: ${cause.message}`, { cause });
  });
  return parsed(`${label} from ${file}`, content);
}

/** @throws UsageError where the text is no JSON. */
export function parsed(label: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new UsageError(`${label} wants JSON, not ${quoted(text)}: ${(cause as Error).message}`, { cause });
  }
}
