import type { TSchema } from "typebox";
import { describeSchema } from "./schema-words.ts";

/** What TypeBox says of one mismatch. */
type Mismatch = {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
};

type Schema = Readonly<Record<string, unknown>>;

const most_told = 3;

/** Says in one line what is wrong with an input: for each field a JSON pointer, what was expected and what came. */
export function describeMismatch(schema: TSchema, input: unknown, errors: readonly Mismatch[]): string {
  const told = new Map<string, string>();
  for (const error of errors) {
    for (const [pointer, text] of describe(schema as Schema, input, error)) {
      if (!told.has(pointer)) told.set(pointer, text);
    }
  }
  const lines = [...told].map(([pointer, text]) => `${pointer === "" ? "the input" : pointer}: ${text}`);
  if (lines.length === 0) return "does not fit its schema";
  const more = lines.length > most_told ? `; and ${lines.length - most_told} more` : "";
  return lines.slice(0, most_told).join("; ") + more;
}

function describe(schema: Schema, input: unknown, error: Mismatch): [pointer: string, text: string][] {
  const { place, instance } = narrow(error);
  const expected = walk(schema, place);
  const got = describeValue(walk(input, instance));
  // A union fails on each of its branches; what helps is what the union as a whole takes.
  if (place !== error.schemaPath) return [[instance, `expected ${describeSchema(expected)}, got ${got}`]];
  switch (error.keyword) {
    case "boolean":
      return [];
    case "additionalProperties": {
      const { additionalProperties: unknown } = error.params as { additionalProperties: readonly string[] };
      return unknown.map((field) => [`${instance}/${field}`, `unknown field; there are ${fieldsOf(expected)}`]);
    }
    case "required": {
      const { requiredProperties: missing } = error.params as { requiredProperties: readonly string[] };
      return missing.map((field) => [
        `${instance}/${field}`,
        `expected ${describeSchema(walk(expected, `/properties/${field}`))}, got nothing`,
      ]);
    }
    default:
      return [[instance, `expected ${describeSchema(expected)}, got ${got}`]];
  }
}

/** Where an error lies inside a union, the places of the union itself in the schema and in the input. */
function narrow({ schemaPath, instancePath }: Mismatch): { place: string; instance: string } {
  const union = schemaPath.indexOf("/anyOf");
  if (union < 0) return { place: schemaPath, instance: instancePath };
  const place = schemaPath.slice(0, union);
  const depth = [...place.matchAll(/\/(properties\/[^/]+|patternProperties\/[^/]+|items(\/\d+)?)/g)].length;
  const instance = instancePath.split("/").slice(0, depth + 1);
  return { place, instance: instance.join("/") };
}

function walk(start: unknown, pointer: string): unknown {
  let value = start;
  for (const step of pointer.replace(/^#/, "").split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined;
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    value = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
  }
  return value;
}

function fieldsOf(schema: unknown): string {
  const { properties = {}, patternProperties } = (schema ?? {}) as Schema;
  const names = Object.keys(properties as object);
  if (patternProperties) names.push("metadata.<path>");
  return names.length === 0 ? "none here" : names.join(", ");
}

function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") {
    return value.length > 40
      ? `${JSON.stringify(value.slice(0, 40))}… (${value.length} characters)`
      : JSON.stringify(value);
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
