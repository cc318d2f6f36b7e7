import { operations } from "../contract/operations.ts";
import type { OperationName } from "../contract/routes.ts";
import { type Arguments, type Flag, quoted, UsageError, type Word } from "./arguments.ts";
import type { CommandOfOperation } from "./commands.ts";
import { type Kind, kindOf, readValue, type Schema, type Surroundings } from "./values.ts";

/** The flags that an operation's input schema asks for. */
export function flagsOf(operation: OperationName, command: CommandOfOperation): Flag[] {
  const { properties = {}, patternProperties = {} } = schemaOf(operation);
  const plain = Object.entries(properties).flatMap(([field, schema]) => flagsOfField(field, schema, command));
  const switches = Object.entries(command.switches ?? {}).map(
    ([name, help]): Flag => ({ name, takes: "switch", help }),
  );
  const open = Object.keys(patternProperties).map((pattern): Flag => {
    const help = "Only messages with this value there, e.g. --metadata.ticket 42";
    return { name: "metadata.PATH", takes: "value", placeholder: "VALUE", help, pattern: new RegExp(pattern) };
  });
  return [...plain, ...switches, ...open];
}

/** The operation's input as the command line gives it. @throws UsageError naming the flag or word that is wrong. */
export async function inputOf(
  operation: OperationName,
  command: CommandOfOperation,
  given: Arguments,
  around: Surroundings,
): Promise<Record<string, unknown>> {
  const schema = schemaOf(operation);
  const flagged = await inputOfFlags(schema, command, given, around);
  const input = await inputOfWords(schema, command, given.words, { flagged, around });
  const complete = command.adjust ? command.adjust(input, given) : input;
  const missing = schema.required?.find((field) => complete[field] === undefined);
  if (missing !== undefined) throw new UsageError(`${command.name} needs ${describeField(missing, command)}`);
  return complete;
}

/** The words it takes, as help shows them: `<agent-id> [reason...]`. */
export function usageOf(operation: OperationName, command: CommandOfOperation): string {
  const { required = [] } = schemaOf(operation);
  const shown = command.words.map((slot) => {
    const field = slot.replace("...", "");
    const name = (field === "q" ? "words" : kebab(field)) + slot.slice(field.length);
    return required.includes(field) || eitherOr.has(field) ? `<${name}>` : `[${name}]`;
  });
  return shown.join(" ");
}

/** Fields that the schema lets be absent because another one can take their place. */
const eitherOr: ReadonlySet<string> = new Set(["to", "content"]);

function schemaOf(operation: OperationName): Schema {
  // TypeBox's schemas are JSON Schema objects.
  return operations[operation].input as Schema;
}

function kebab(field: string): string {
  return field.replaceAll("_", "-");
}

function flagsOfField(field: string, schema: Schema, command: CommandOfOperation): Flag[] {
  const shorter = command.shorter?.[field];
  const kind = kindOf(field, schema);
  const full: Flag = {
    name: kebab(field),
    takes: kind === "switch" ? "switch" : schema.type === "array" ? "list" : "value",
    placeholder: placeholderOf(kind, field, schema),
    help: helpOf(field, schema),
  };
  if (shorter === undefined) return [full];
  return [
    { ...full, name: shorter },
    { ...full, help: `The same as --${shorter}` },
  ];
}

const placeholders: Readonly<Partial<Record<Kind, string>>> = {
  time: "TIME",
  duration: "DURATION",
  number: "N",
  json: "JSON",
  capabilities: "NAME:LEVEL",
  address: "RECIPIENT",
};

function placeholderOf(kind: Kind, field: string, schema: Schema): string {
  if (schema.enum) return schema.enum.join("|");
  return placeholders[kind] ?? field.replace(/_id$|^.*_/, "").toUpperCase();
}

const fieldHelp: Readonly<Record<string, string>> = {
  to: "An agent, group:NAME, capability:NAME (the bus picks one), or broadcast",
  content: "The text; also as words after the recipient, or - for standard input",
  agent_id: "The agent, by id or alias",
  from_agent: "Who sends it",
  to_agent: "Who gets it, by id or alias",
  message_id: "The message",
  lease_id: "The lease under which it was claimed",
  idempotency_key: "The same key again returns the first message instead of sending twice",
  priority: "Urgent goes before high, normal and low",
  min_priority: "Nothing less pressing than this",
  message_type: "What kind of message it is",
  conversation_id: "The conversation",
  scopes: "What the token may do: agent, observe, operate or admin",
  key_id: "The token, by the part of it between its kind and its secret",
  reply_to: "The message it answers",
  deliver_at: "Not before: a time, or a duration from now such as 10m",
  expires_at: "Given up after: a time, or a duration from now such as 2h",
  since: "Not before: a time, or a duration back from now such as 2h",
  until: "Before: a time, or a duration back from now",
  when: "The moment of the agent's work at which it may be shown",
  offline: "What to do if the recipient is not there",
  wait_ms: "How long to wait for a message, e.g. 30s",
  lease_ms: "How long it is kept from others, e.g. 5m",
  delay_ms: "How long until it is tried again, e.g. 10s",
  capabilities: "What the agent can do and how well (1 to 10), e.g. typescript:8; may be repeated",
  groups: "Groups it belongs to; may be repeated",
  aliases: "Other names it is known by; may be repeated",
  participant: "An agent that takes part",
  participants: "The agents that take part",
  with: "The other side of the exchange with --participant",
  cursor: "Continue after the page that named this cursor",
  limit: "At most so many",
  metadata: "Any JSON object, or @file.json",
  messages: "A JSON array of messages, @file.json, or - for standard input",
  acknowledgements: "A JSON array of {message_id, lease_id}, @file.json, or - for standard input",
};

function helpOf(field: string, schema: Schema): string {
  const text = fieldHelp[field] ?? schema.description ?? `The ${field.replaceAll("_", " ")}`;
  return schema.default === undefined ? text : `${text} (default ${String(schema.default)})`;
}

type Input = Record<string, unknown>;

async function inputOfFlags(
  { properties = {}, patternProperties = {} }: Schema,
  command: CommandOfOperation,
  given: Arguments,
  around: Surroundings,
): Promise<Input> {
  const open = Object.keys(patternProperties).map((pattern) => new RegExp(pattern));
  const input: Input = {};
  for (const [flag, texts] of given.flags) {
    const field = Object.keys(properties).find((it) => kebab(it) === flag || command.shorter?.[it] === flag);
    if (field !== undefined) {
      if (input[field] !== undefined)
        throw new UsageError(`--${command.shorter?.[field]} and --${kebab(field)} are the same; give one of them`);
      input[field] = await readValue({ field, label: `--${flag}`, texts, schema: properties[field] ?? {} }, around);
    } else if (open.some((pattern) => pattern.test(flag))) {
      input[flag] = texts[0];
    }
  }
  return input;
}

/** Gives the words after the command to the fields that the command names for them, as far as flags have not. */
async function inputOfWords(
  { properties = {} }: Schema,
  command: CommandOfOperation,
  words: readonly Word[],
  { flagged, around }: { flagged: Input; around: Surroundings },
): Promise<Input> {
  const input = { ...flagged };
  const left = [...words];
  for (const slot of command.words) {
    const field = slot.replace("...", "");
    if (isGiven(input, field) || left.length === 0) continue;
    const taken = left.splice(0, field === slot ? 1 : left.length);
    const schema = properties[field] ?? {};
    input[field] = isStdin(slot, taken, schema)
      ? await around.readStdin()
      : await readValue({ field, label: `the ${kebab(field)}`, texts: textsOf(taken, schema), schema }, around);
  }
  const [extra] = left;
  if (extra === undefined) return input;
  const way = `see: hivepost help ${command.name}`;
  throw new UsageError(`${command.name} does not know what to do with ${quoted(extra.text)} (${way})`);
}

/** `--to-agent bob` leaves no word for the recipient either. */
function isGiven(input: Input, field: string): boolean {
  return input[field] !== undefined || (field === "to" && input["to_agent"] !== undefined);
}

/** A lone `-` where text goes on to the end of the line, unless it stands after a bare `--`. */
function isStdin(slot: string, taken: readonly Word[], schema: Schema): boolean {
  return slot.endsWith("...") && schema.type === "string" && taken.length === 1 && isDash(taken[0]);
}

function isDash(word: Word | undefined): boolean {
  return word?.text === "-" && !word.literal;
}

function textsOf(taken: readonly Word[], schema: Schema): readonly string[] {
  const texts = taken.map((word) => word.text);
  return schema.type === "array" ? texts : [texts.join(" ")];
}

function describeField(field: string, command: CommandOfOperation): string {
  const shown = `--${command.shorter?.[field] ?? kebab(field)}`;
  const asWord = command.words.some((slot) => slot.replace("...", "") === field);
  const way = asWord ? `, as a word or with ${shown}` : `: ${shown}`;
  return `the ${field.replaceAll("_", " ")}${way} (see: hivepost help ${command.name})`;
}
