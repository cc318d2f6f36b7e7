import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { commandOfOperation } from "../src/cli/commands.ts";
import { BusError, errorStatus } from "../src/contract/errors.ts";
import type { Operation } from "../src/contract/operation.ts";
import { operations } from "../src/contract/operations.ts";
import { fillRoute, operationNames, splitRoute } from "../src/contract/routes.ts";
import { type Hive, startHive } from "./client/hive.ts";

type Schema = {
  readonly type?: string;
  readonly $id?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly description?: string;
};

const table = operationNames.map((name) => {
  const row: Operation = operations[name];
  return { name, ...row, ...splitRoute(name), input: row.input as Schema, output: row.output as Schema };
});

describe("the table of operations", () => {
  it("has a row for every route and a route for every row", () => {
    assert.deepEqual(Object.keys(operations).sort(), [...operationNames].sort());
  });

  it("says of each operation what it does in one sentence", () => {
    for (const { name, summary } of table) {
      assert.match(summary, /^[A-Z][^.]+\.$/, name);
      assert.ok(summary.length <= 120, `${name}: ${summary.length} characters do not fit a line of help`);
    }
  });

  it("says of each operation who may call it", () => {
    const known = ["open", "agent", "observe", "operate", "admin"];
    for (const { name, scopes } of table) {
      assert.ok(scopes.length > 0, name);
      assert.deepEqual(
        scopes.filter((it) => !known.includes(it)),
        [],
        name,
      );
    }
  });

  it("lets whoever may observe read everything but tokens and the audit log, and change nothing", () => {
    for (const { name, method, scopes } of table) {
      const mayObserve = scopes.includes("observe") || scopes.includes("open");
      const isForAdmins = scopes.every((it) => it === "admin");
      assert.equal(mayObserve, method === "GET" && !isForAdmins, name);
    }
  });

  it("takes and returns objects", () => {
    for (const { name, input, output } of table) {
      assert.equal(input.type, "object", name);
      assert.equal(output.type, "object", name);
    }
  });

  it("refuses fields that it does not know, at every depth", () => {
    for (const { name, input } of table) {
      const open = objectsIn(input, name).filter(({ at, schema }) => {
        // Metadata is the one place where any field goes.
        return schema.additionalProperties !== false && !at.endsWith(".metadata");
      });
      assert.deepEqual(
        open.map(({ at }) => at),
        [],
      );
    }
  });

  it("names every field in snake_case", () => {
    for (const { name, input, output } of table) {
      for (const { at, schema } of [...objectsIn(input, name), ...objectsIn(output, name)]) {
        for (const field of Object.keys(schema.properties ?? {})) assert.match(field, /^[a-z][a-z0-9_]*$/, at);
      }
    }
  });

  it("gives a schema's name to one schema only", () => {
    const named = new Map<string, string>();
    for (const { name, input, output } of table) {
      for (const { schema } of [...objectsIn(input, name), ...objectsIn(output, name)]) {
        if (schema.$id === undefined) continue;
        const text = JSON.stringify(schema);
        assert.equal(named.get(schema.$id) ?? text, text, schema.$id);
        named.set(schema.$id, text);
      }
    }
    assert.ok(named.size > 0);
  });
});

describe("the routes", () => {
  it("are all different, whatever their fields are called", () => {
    const shapes = table.map(({ method, template }) => `${method} ${template.replaceAll(/\{\w+\}/g, "{}")}`);
    assert.deepEqual(
      shapes.filter((it, i) => shapes.indexOf(it) !== i),
      [],
    );
  });

  it("put only required fields of the input into the path", () => {
    for (const { name, input, pathFields } of table) {
      assert.deepEqual(
        pathFields.filter((it) => !input.required?.includes(it)),
        [],
        name,
      );
    }
  });

  it("ask by query string only for what a query string can say", () => {
    for (const { name, method, input } of table) {
      if (method !== "GET") continue;
      const structured = Object.entries(input.properties ?? {}).filter(([, { type = "string" }]) =>
        ["object", "array"].includes(type),
      );
      assert.deepEqual(structured, [], name);
    }
  });

  it("can be undone: operation and input come back from method, path and rest, whatever the fields hold", () => {
    fc.assert(
      fc.property(fc.constantFrom(...table), fc.array(fc.string({ unit: "grapheme", minLength: 1 })), (row, texts) => {
        const input = Object.fromEntries([
          ...row.pathFields.map((field, i) => [field, texts[i] ?? "x"]),
          ["other", texts.join()],
        ]);
        const { method, path, rest } = fillRoute(row.name, input);
        assert.deepEqual(readRoute(method, path, rest), { name: row.name, input });
      }),
    );
  });
});

describe("what is read off the table", () => {
  it("is every path and method of the OpenAPI document, and nothing else under those paths", async () => {
    await using hive = await startHive();
    const { paths } = await ask<{ paths: Record<string, object> }>(hive, "/openapi.json");
    const described = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const known = new Set(table.map(({ template }) => template));
    assert.deepEqual(
      described.filter((it) => known.has(it.split(" ")[1] ?? "")).sort(),
      table.map(({ method, template }) => `${method} ${template}`).sort(),
    );
  });

  it("is every tool of the MCP server that answers without a secret, with the operation's own summary and input", async () => {
    await using hive = await startHive();
    const { result } = await ask<{ result: { tools: Record<string, unknown>[] } }>(hive, "/mcp", {
      jsonrpc: "2.0",
      id: 1,
      method: "tools/list",
    });
    const withoutSecrets = table.filter((it) => !("token" in (it.output.properties ?? {})));
    assert.deepEqual(
      result.tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
      withoutSecrets.map(({ name, summary, input }) => ({
        name,
        description: summary,
        inputSchema: JSON.parse(JSON.stringify(input)),
      })),
    );
  });

  it("is a command for every operation, none said twice", () => {
    const names = operationNames.map((it) => commandOfOperation[it].name);
    assert.deepEqual([...new Set(names)], names);
  });
});

describe("the errors", () => {
  it("each have a status that tells failure, the caller's below 500", () => {
    for (const [code, status] of Object.entries(errorStatus)) {
      assert.match(code, /^[a-z]+(_[a-z]+)*$/);
      assert.ok(status >= 400 && status < 600, code);
    }
  });

  it("carry code, message, cause and when to try again", () => {
    const cause = new Error("disk");
    const error = new BusError("storage_full", "no space left", { cause, retry_after_ms: 1_000 });
    assert.deepEqual(
      [error.name, error.code, error.message, error.cause, error.retry_after_ms],
      ["BusError", "storage_full", "no space left", cause, 1_000],
    );
  });
});

async function ask<Answer>({ url, token }: Hive, path: string, body?: object): Promise<Answer> {
  const headers = {
    authorization: `Bearer ${token}`,
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
  };
  const response = await fetch(
    url + path,
    body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers },
  );
  assert.equal(response.status, 200);
  return (await response.json()) as Answer;
}

/** Every object schema within a schema, with the way to it. */
function objectsIn(schema: Schema, at: string): { at: string; schema: Schema }[] {
  const inside = [
    ...Object.entries(schema.properties ?? {}).map(([field, it]) => [`${at}.${field}`, it] as const),
    ...(schema.items ? [[`${at}[]`, schema.items] as const] : []),
    ...(schema.anyOf ?? []).map((it) => [at, it] as const),
  ].flatMap(([way, it]) => objectsIn(it, way));
  return schema.type === "object" ? [{ at, schema }, ...inside] : inside;
}

/** The inverse of `fillRoute`: a literal segment wins over a field, as in every router. */
function readRoute(method: string, path: string, rest: Readonly<Record<string, unknown>>) {
  const segments = path.split("/");
  const candidates = table.filter((it) => it.method === method && fits(it.template.split("/"), segments));
  candidates.sort((a, b) => a.pathFields.length - b.pathFields.length);
  const [row] = candidates;
  assert.ok(row, `no route for ${method} ${path}`);
  const fields = row.template
    .split("/")
    .flatMap((part, i) => (part.startsWith("{") ? [[part.slice(1, -1), decodeURIComponent(segments[i] ?? "")]] : []));
  return { name: row.name, input: { ...rest, ...Object.fromEntries(fields) } };
}

function fits(template: readonly string[], segments: readonly string[]): boolean {
  return (
    template.length === segments.length && template.every((part, i) => part.startsWith("{") || part === segments[i])
  );
}
