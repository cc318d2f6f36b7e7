type Schema = Readonly<Record<string, unknown>>;

/** What a JSON Schema takes, in words: for error messages and the documentation. */
export function describeSchema(schema: unknown): string {
  const it = (schema ?? {}) as Schema;
  if (typeof it["$ref"] === "string") return it["$ref"].split("/").at(-1) ?? "";
  if (Array.isArray(it["enum"])) return `one of ${it["enum"].map((value) => JSON.stringify(value)).join(", ")}`;
  if ("const" in it) return JSON.stringify(it["const"]);
  if (Array.isArray(it["anyOf"])) return it["anyOf"].map(describeSchema).join(" or ");
  return describeByType(it);
}

function describeByType(it: Schema): string {
  switch (it["type"]) {
    case "string":
      return describeText(it);
    case "integer":
      return `a whole number${describeRange(it["minimum"], it["maximum"])}`;
    case "number":
      return `a number${describeRange(it["minimum"], it["maximum"])}`;
    case "boolean":
      return "true or false";
    case "array":
      return `an array${describeRange(it["minItems"], it["maxItems"], " items")}${describeItems(it["items"])}`;
    case "object":
      return describeObject(it);
    default:
      return "a value";
  }
}

function describeItems(items: unknown): string {
  const { $ref, enum: values } = (items ?? {}) as Schema;
  return $ref === undefined && values === undefined ? "" : ` of ${describeSchema(items)}`;
}

function describeObject(schema: Schema): string {
  const names = Object.keys((schema["properties"] ?? {}) as object);
  return names.length === 0 ? "an object" : `an object with ${names.join(", ")}`;
}

/** The patterns of the contract, by how they begin. */
const patterns = [
  ["^[A-Za-z0-9]", "a name of 1 to 128 letters, digits and . _ + - that begins with a letter or digit"],
  ["^[0-9a-f]{8}-[0-9a-f]{4}-7", "a UUIDv7 in lower case"],
  ["^[0-9a-f]{8}-", "a UUID in lower case"],
  ["^[0-9A-Za-z]{11}$", "a key id of 11 letters and digits, as GET /tokens lists them"],
  ["^\\d{4}-", "an RFC 3339 time such as 2026-01-05T09:00:00Z"],
] as const;

function describeText({ pattern, minLength, maxLength }: Schema): string {
  const text = `text${describeRange(minLength, maxLength, " characters")}`;
  if (typeof pattern !== "string") return text;
  const base64url = /^\^\[A-Za-z0-9_-\](?:\{(\d+)\}|\+)\$$/.exec(pattern);
  if (base64url) return `${base64url[1] ? `text of ${base64url[1]} characters` : text} in base64url`;
  const known = patterns.find(([start]) => pattern.startsWith(start));
  return known?.[1] ?? `${text} of the form ${pattern}`;
}

function describeRange(least: unknown, most: unknown, unit = ""): string {
  if (least !== undefined && most !== undefined) {
    return ` ${unit ? "of" : "from"} ${spell(least)} to ${spell(most)}${unit}`;
  }
  if (least !== undefined) return ` of at least ${spell(least)}${unit}`;
  return most === undefined ? "" : ` of at most ${spell(most)}${unit}`;
}

function spell(bound: unknown): string {
  return Number(bound).toLocaleString("en");
}
