import { type ErrorCode, errorStatus } from "../contract/errors.ts";
import type { Operation } from "../contract/operation.ts";
import { operations } from "../contract/operations.ts";
import { type OperationName, operationNames, splitRoute } from "../contract/routes.ts";
import { ticketPath } from "../contract/stream.ts";
import { examples } from "./examples.ts";

type Json = Readonly<Record<string, unknown>>;

/** As much of OpenAPI 3.1 as the documentation page reads. */
export type OpenApiDocument = Json & {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> } & Json;
};
export type DocumentedOperation = {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: JsonContent };
  readonly responses: Readonly<Record<string, Json & { readonly content?: JsonContent }>>;
} & Json;
export type Parameter = {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly schema: Json;
  readonly description?: string;
  readonly example?: unknown;
} & Json;
type JsonContent = Readonly<Record<string, { readonly schema: Json; readonly example?: unknown }>>;

const tagOf = (template: string) => template.split("/")[1] ?? "";

/** The API as OpenAPI 3.1, read off the table of operations: TypeBox schemas are JSON Schema as they stand. */
export function openApiDocument(version: string): OpenApiDocument {
  const schemas: Record<string, Json> = {};
  const paths: Record<string, Record<string, DocumentedOperation>> = {};
  for (const name of operationNames) {
    const { method, template } = splitRoute(name);
    paths[template] ??= {};
    paths[template][method.toLowerCase()] = describeOperation(name, schemas);
  }
  paths[ticketPath] = { post: ticketOperation };
  schemas["Problem"] = problemSchema;
  return {
    openapi: "3.1.0",
    info: { title: "Hivepost", version, description },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    tags: [...new Set(Object.keys(paths).map(tagOf))].map((name) => ({ name })),
    paths,
    components: {
      schemas,
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "The first one lies in `<data-dir>/admin.token`." },
      },
    },
  };
}

const description = [
  "The post office of a fleet of coding agents. Every operation is also a WebSocket request (`GET /stream`, subprotocol",
  "`hivepost.v1`) and an MCP tool (`POST /mcp`) under the same name, with the same input and output.",
].join(" ");

function describeOperation(name: OperationName, schemas: Record<string, Json>): DocumentedOperation {
  const { method, template, pathFields } = splitRoute(name);
  const { summary, scopes, input, output, status = 200 } = operations[name] as Operation;
  const inQuery = method === "GET" || method === "DELETE";
  const taken = toComponents(input, schemas);
  const parameters = [...pathParameters(taken, pathFields), ...(inQuery ? queryParameters(taken, pathFields) : [])].map(
    (it) => withExample(it, { ...examples[name].input }),
  );
  if (name === "sendMessage") parameters.push(idempotencyHeader);
  const open = scopes.includes("open");
  return {
    operationId: name,
    summary,
    description: open ? "Open to all." : `Scopes: ${scopes.map((it) => `\`${it}\``).join(", ")}, \`admin\`.`,
    tags: [tagOf(template)],
    parameters,
    ...(!inQuery && requestBody(name, taken, pathFields)),
    responses: {
      [status]: {
        description: "Done.",
        content: {
          "application/json": { schema: toComponents(output, schemas), example: examples[name].output },
        },
      },
      ...problemResponses(open),
    },
    ...(open && { security: [{}, { token: [] }] }),
  };
}

function pathParameters({ properties }: Json, pathFields: readonly string[]): Parameter[] {
  return pathFields.map((name) => parameter(name, "path", true, (properties as Record<string, Json>)[name] ?? {}));
}

function queryParameters({ properties, required = [], patternProperties }: Json, pathFields: readonly string[]) {
  const fields = Object.entries(properties as Record<string, Json>).filter(([name]) => !pathFields.includes(name));
  const parameters = fields.map(([name, schema]) =>
    parameter(name, "query", (required as readonly string[]).includes(name), schema),
  );
  if (patternProperties) parameters.push(metadataParameter(patternProperties));
  return parameters;
}

function withExample(parameter: Parameter, input: Json): Parameter {
  if (parameter.name !== "metadata")
    return parameter.name in input ? { ...parameter, example: input[parameter.name] } : parameter;
  const fields = Object.entries(input).filter(([field]) => field.startsWith("metadata."));
  return fields.length === 0 ? parameter : { ...parameter, example: Object.fromEntries(fields) };
}

/** In the form style, exploded, an object's fields are the query's keys: `metadata.ticket=42`. */
function metadataParameter(patternProperties: unknown): Parameter {
  return {
    ...parameter("metadata", "query", false, { type: "object", patternProperties, additionalProperties: false }),
    description: "`metadata.<path>=<value>` asks for an equal scalar at that path of the metadata.",
    style: "form",
    explode: true,
  };
}

function parameter(name: string, where: Parameter["in"], required: boolean, given: Json): Parameter {
  const { description, ...schema } = given;
  return { name, in: where, required, schema, ...(typeof description === "string" && { description }) };
}

const idempotencyHeader: Parameter = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  schema: { type: "string", minLength: 1, maxLength: 256 },
  description: "The same as `idempotency_key` in the body.",
};

function requestBody(name: OperationName, input: Json, pathFields: readonly string[]) {
  const all = input["properties"] as Record<string, Json>;
  const properties = Object.fromEntries(Object.entries(all).filter(([field]) => !pathFields.includes(field)));
  const { required: allRequired = [], ...rest } = input;
  const required = (allRequired as readonly string[]).filter((field) => !pathFields.includes(field));
  const schema = { ...rest, ...(required.length > 0 && { required }), properties };
  const given: Json = { ...examples[name].input };
  const example = Object.fromEntries(Object.entries(given).filter(([field]) => !pathFields.includes(field)));
  return { requestBody: { required: required.length > 0, content: { "application/json": { schema, example } } } };
}

/** A copy in which every schema with a name is a reference, and stands among the components. */
function toComponents(schema: object, schemas: Record<string, Json>): Json {
  return convert(schema, schemas) as Json;
}

function convert(value: unknown, schemas: Record<string, Json>): unknown {
  if (Array.isArray(value)) return value.map((item) => convert(item, schemas));
  if (typeof value !== "object" || value === null) return value;
  const { $id, ...fields } = value as Json;
  const converted = () => Object.fromEntries(Object.entries(fields).map(([key, it]) => [key, convert(it, schemas)]));
  if (typeof $id !== "string") return converted();
  schemas[$id] ??= converted();
  return { $ref: `#/components/schemas/${$id}` };
}

function problemResponses(open: boolean): Readonly<Record<string, Json>> {
  const byStatus: Record<string, ErrorCode[]> = {};
  for (const [code, status] of Object.entries(errorStatus) as [ErrorCode, number][]) {
    if (!isServed(code) || (open && status !== 500 && status !== 401)) continue;
    byStatus[status] ??= [];
    byStatus[status].push(code);
  }
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => `\`${code}\``).join(", "),
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    ]),
  );
}

/** Some codes are only ever told by a program that cannot reach or start a server, or that opens what is sealed. */
function isServed(code: ErrorCode): boolean {
  const local: readonly ErrorCode[] = [
    "unreachable",
    "certificate_unusable",
    "data_dir_in_use",
    "database_damaged",
    "database_newer",
    "sqlite_unsafe",
    "key_unknown",
    "key_changed",
    "sealed_invalid",
    "sealed_replayed",
  ];
  return !local.includes(code);
}

const problemSchema: Json = {
  type: "object",
  description: "RFC 9457. Programs switch on `code`; each has a section in /docs/errors.",
  required: ["type", "title", "status", "detail", "code"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string", description: "What is wrong, and the way out." },
    code: { enum: Object.keys(errorStatus) },
    request_id: { type: "string", description: "Leads to the line in the server's log." },
    retry_after_ms: { type: "integer", description: "When trying again may help." },
  },
};

const ticketOperation: DocumentedOperation = {
  operationId: "createStreamTicket",
  summary: "Get a ticket that opens one WebSocket (`GET /stream?ticket=…`) within 30 s, for browsers.",
  description: "Scopes: any.",
  tags: ["stream"],
  parameters: [],
  responses: {
    201: {
      description: "Done.",
      content: {
        "application/json": {
          schema: {
            type: "object",
            required: ["ticket", "expires_at"],
            properties: { ticket: { type: "string" }, expires_at: { type: "string" } },
            additionalProperties: false,
          },
          example: { ticket: "Yk1vQ2pS0fX3-8Q7nT4hZbU2eRr9aLwGd5iKcMxPzJo", expires_at: "2026-01-05T09:00:30.000Z" },
        },
      },
    },
    401: {
      description: "`unauthenticated`",
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    },
  },
};
