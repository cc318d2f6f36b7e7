import { BusError } from "../contract/errors.ts";
import { operations } from "../contract/operations.ts";
import { type OperationName, splitRoute } from "../contract/routes.ts";

type Schema = Readonly<Record<string, unknown>>;

/** How the fields of an operation's input are read from a query string. */
export type QueryReader = (query: string) => Record<string, unknown>;

/**
 * Reads a query string by an operation's schema: numbers and booleans are made of text only where the schema has them.
 *
 * @throws BusError `invalid_input` for a key that the operation does not have, or that comes twice, or is badly encoded.
 */
export function queryReader(name: OperationName): QueryReader {
  const { method, pathFields } = splitRoute(name);
  const takesQuery = method === "GET" || method === "DELETE";
  const schema: Schema = { ...operations[name].input };
  const properties = takesQuery ? (schema["properties"] as Readonly<Record<string, Schema>>) : {};
  const fields = new Map(Object.entries(properties).filter(([field]) => !pathFields.includes(field)));
  const patterns = takesQuery ? Object.keys((schema["patternProperties"] ?? {}) as object) : [];
  const known = [...fields.keys(), ...(patterns.length > 0 ? ["metadata.<path>"] : [])].join(", ") || "none";

  return (query) => {
    const input: Record<string, unknown> = {};
    for (const [key, value] of pairs(query)) {
      const field = fields.get(key);
      if (!field && !patterns.some((it) => new RegExp(it).test(key))) {
        throw new BusError("invalid_input", `${name}: unknown query parameter ${quoted(key)}; there are ${known}`);
      }
      if (Object.hasOwn(input, key)) {
        throw new BusError("invalid_input", `${name}: the query parameter ${quoted(key)} comes twice`);
      }
      input[key] = coerce(value, field?.["type"]);
    }
    return input;
  };
}

function pairs(query: string): [key: string, value: string][] {
  if (query === "") return [];
  return query.split("&").map((pair) => {
    const equals = pair.indexOf("=");
    if (equals < 0) return [decode(pair), ""];
    return [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
  });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new BusError("invalid_input", `the query holds a bad percent-encoding: ${quoted(text)}`, { cause });
  }
}

/** Text that is no number stays text, and the schema refuses it by name. */
function coerce(value: string, type: unknown): unknown {
  if ((type === "integer" || type === "number") && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (type === "boolean" && (value === "true" || value === "false")) return value === "true";
  return value;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
