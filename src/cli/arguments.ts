import { parseArgs } from "node:util";
import { suggestion } from "./nearest.ts";

/** A flag of one command. Names are kebab-case, without the dashes. */
export type Flag = {
  readonly name: string;
  /** `switch` takes no value; `list` may be repeated, and holds commas between its elements. */
  readonly takes: "value" | "list" | "switch";
  /** What stands for the value in help, e.g. `AGENT`. */
  readonly placeholder?: string;
  readonly help: string;
  readonly short?: string;
  /** Flags whose name is open, as in `--metadata.ticket 42`: everything that matches, instead of `name`. */
  readonly pattern?: RegExp;
};

/** A word of the command line. After `--` it is meant literally: `-` is not standard input there. */
export type Word = { readonly text: string; readonly literal: boolean };

export type Arguments = {
  /** Flag name → its values in order; a switch has none. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly words: readonly Word[];
};

/** Wrong usage: exit code 2. The message says how it would be right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Splits a command line into flags and words. @throws UsageError for unknown flags and missing values. */
export function parseArguments(argv: readonly string[], flags: readonly Flag[]): Arguments {
  const { tokens } = parseArgs({
    args: [...argv],
    options: optionsOf(argv, flags),
    strict: false,
    tokens: true,
  });
  const found = new Map<string, string[]>();
  const words: Word[] = [];
  let literal = false;
  for (const token of tokens) {
    if (token.kind === "option-terminator") literal = true;
    else if (token.kind === "positional") words.push({ text: token.value, literal });
    else take(found, token, flags);
  }
  return { flags: found, words };
}

/** The value of a flag, where it was given. */
export function flagValue(given: Arguments, name: string): string | undefined {
  return given.flags.get(name)?.[0];
}

/** The value of a flag that counts something. @throws UsageError naming what it may be. */
export function countOf(given: Arguments, name: string, bounds: { minimum: number; maximum: number }) {
  const text = flagValue(given, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= bounds.minimum && value <= bounds.maximum) return value;
  throw new UsageError(
    `--${name} wants a whole number from ${bounds.minimum} to ${bounds.maximum}, not ${quoted(text)}`,
  );
}

/** A value as it may stand in an error message: short, on one line, nothing that moves the cursor. */
export function quoted(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  // JSON leaves DEL and the controls above it as they are; U+009B begins a terminal's commands like ESC [.
  return JSON.stringify(short).replace(/[\u007f-\u009f]/g, (it) => `\\u00${it.charCodeAt(0).toString(16)}`);
}

type Option = { readonly type: "string" | "boolean"; readonly multiple: true; readonly short?: string };

function optionsOf(argv: readonly string[], flags: readonly Flag[]): Record<string, Option> {
  // No prototype, so that a flag called --constructor is as unknown as any other.
  const options = Object.create(null) as Record<string, Option>;
  for (const flag of flags.filter((it) => !it.pattern)) options[flag.name] = optionOf(flag);
  const open = flags.flatMap((flag) => flag.pattern ?? []);
  for (const name of argv.flatMap((it) => /^--([^=]+)/.exec(it)?.[1] ?? [])) {
    if (open.some((it) => it.test(name))) options[name] = { type: "string", multiple: true };
  }
  return options;
}

function optionOf(flag: Flag): Option {
  const type = flag.takes === "switch" ? "boolean" : "string";
  return flag.short === undefined ? { type, multiple: true } : { type, multiple: true, short: flag.short };
}

type OptionToken = {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
};

function take(found: Map<string, string[]>, token: OptionToken, flags: readonly Flag[]): void {
  const flag = flags.find((it) => (it.pattern ? it.pattern.test(token.name) : it.name === token.name));
  if (!flag) throw unknownFlag(token, flags);
  const values = found.get(token.name) ?? [];
  found.set(token.name, values);
  if (flag.takes === "switch") {
    if (token.value !== undefined) throw new UsageError(`--${flag.name} takes no value`);
    return;
  }
  if (token.value === undefined) throw new UsageError(`${token.rawName} wants a value`);
  if (!token.inlineValue && token.value.length > 1 && token.value.startsWith("-")) {
    const shown = quoted(token.value);
    const bare = shown.slice(1, -1);
    throw new UsageError(`${token.rawName} wants a value; if it is ${shown}, write --${token.name}=${bare}`);
  }
  if (values.length > 0 && flag.takes === "value") throw new UsageError(`--${token.name} is given twice`);
  values.push(token.value);
}

function unknownFlag(token: OptionToken, flags: readonly Flag[]): UsageError {
  const names = flags.filter((it) => !it.pattern).map((it) => it.name);
  const hint = token.rawName.startsWith("--") ? suggestion(token.name, names, "--") : "";
  const shown = quoted(token.rawName).slice(1, -1);
  return new UsageError(
    `there is no flag ${shown}${hint}; text that begins with a dash goes after a bare --, as in: -- ${shown}`,
  );
}
