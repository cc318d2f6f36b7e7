import { escapeHtml } from "./markdown.ts";
import type { DocumentedOperation, OpenApiDocument, Parameter } from "./openapi.ts";
import { page } from "./page.ts";
import { describeSchema } from "./schema-words.ts";

type Fields = Readonly<Record<string, unknown>>;
type Row = { readonly name: string; readonly where: string; readonly required: boolean; readonly schema: Fields };
type Entry = { readonly method: string; readonly path: string; readonly operation: DocumentedOperation };

/** The API for people, made of the same document that programs read. */
export function renderDocs(document: OpenApiDocument): string {
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Entry => ({ method, path, operation })),
  );
  const tags = [...new Set(all.map(({ operation }) => operation.tags[0]))];
  const entries = tags.flatMap((tag) => all.filter(({ operation }) => operation.tags[0] === tag));
  const main = [renderIntroduction(document), ...entries.map(renderEntry), renderSchemas(document)].join("\n");
  return page({ title: "API", nav: renderNav(document, entries), main });
}

function renderNav(document: OpenApiDocument, entries: readonly Entry[]): string {
  const tags = [...new Set(entries.map(({ operation }) => operation.tags[0] ?? ""))];
  const link = (id: string) => `<li><a href="#${id}">${id}</a></li>`;
  const groups = tags.map((tag) => {
    const inTag = entries.filter(({ operation }) => operation.tags.includes(tag));
    return `<h2>${escapeHtml(tag)}</h2><ul>${inTag.map(({ operation }) => link(operation.operationId)).join("")}</ul>`;
  });
  const shapes = Object.keys(document.components.schemas).map(link).join("");
  return `${groups.join("")}<h2>shapes</h2><ul>${shapes}</ul>`;
}

function renderIntroduction({ info }: OpenApiDocument): string {
  return `<h1>${escapeHtml(info.title)} API</h1>
<p>${inline(info.description)} Version ${escapeHtml(info.version)}.</p>
<p>Send the token in every request. The examples read both from the environment:</p>
<pre><code>export HIVEPOST_URL=http://127.0.0.1:4483
export HIVEPOST_TOKEN=$(cat ~/.hivepost/admin.token)</code></pre>
<p>Bodies are JSON; unknown fields are errors. An error is a problem document with a <code>code</code>, each explained under
<a href="/docs/errors">Errors</a>. Times are RFC 3339. A send with an <code>idempotency_key</code> may be repeated safely.</p>
<details><summary>WebSocket, MCP and the other addresses</summary>
<p><code>GET /stream</code> with the subprotocol <code>hivepost.v1</code> opens a WebSocket. A request is
<code>{"id": 1, "op": "sendMessage", "input": {…}}</code>, its answer <code>{"id": 1, "ok": true, "output": {…}}</code> or
<code>{"id": 1, "ok": false, "error": {"code", "message"}}</code>. Besides the operations below there are
<code>subscribe</code> (<code>agent_id</code>, <code>credit</code>, <code>lease_ms?</code>; pushes
<code>{"event": "delivery", "delivery": {…}}</code>), <code>credit</code>, <code>unsubscribe</code> and
<code>follow</code> (<code>after?</code>; pushes every event with its cursor).</p>
<p><code>POST /mcp</code> serves the same operations as MCP tools. <code>GET /metrics</code> is for Prometheus,
<code>GET /.well-known/agent-card.json</code> for A2A.</p></details>`;
}

function renderEntry({ method, path, operation }: Entry): string {
  const id = operation.operationId;
  const body = operation.requestBody?.content["application/json"];
  const rows = [...operation.parameters.map(parameterRow), ...bodyRows(body?.schema)];
  const [success = "200", answer] = Object.entries(operation.responses)[0] ?? [];
  const example = answer?.content?.["application/json"];
  return `<section><h2 id="${id}"><a href="#${id}">${id}</a></h2>
<p>${inline(operation.summary)}</p>
<p class="route"><span class="method ${method}">${method.toUpperCase()}</span><span>${escapeHtml(path)}</span></p>
<p class="scopes">${inline(String(operation["description"] ?? ""))}</p>
${renderFields(rows)}
<h3>Example</h3>
<pre><code>${escapeHtml(curl(method, path, operation))}</code></pre>
<h3>Answer ${escapeHtml(success)}${renderReference(example?.schema)}</h3>
<pre><code>${escapeHtml(JSON.stringify(example?.example, null, 2))}</code></pre>
</section>`;
}

function parameterRow({ name, in: where, required, schema, description }: Parameter): Row {
  return { name: name === "metadata" ? "metadata.<path>" : name, where, required, schema: { ...schema, description } };
}

function bodyRows(schema: Fields | undefined): Row[] {
  const required = (schema?.["required"] ?? []) as readonly string[];
  return Object.entries((schema?.["properties"] ?? {}) as Record<string, Fields>).map(([name, field]) => ({
    name,
    where: "body",
    required: required.includes(name),
    schema: field,
  }));
}

function renderFields(rows: readonly Row[]): string {
  if (rows.length === 0) return "";
  const lines = rows.map(({ name, where, required, schema }) => {
    const mark = required ? '<span class="required">required</span>' : "";
    const text = inline(sentences([describeSchema(schema), defaultOf(schema), schema["description"]]));
    return `<tr><td><code>${escapeHtml(name)}</code>${mark}</td><td>${where}</td><td>${text}</td></tr>`;
  });
  return `<div class="table"><table><thead><tr><th>Field</th><th>In</th><th>Takes</th></tr></thead><tbody>${lines.join("")}</tbody></table></div>`;
}

function defaultOf({ default: value }: Fields): string {
  return value === undefined ? "" : `\`${JSON.stringify(value)}\` unless given`;
}

function sentences(parts: readonly unknown[]): string {
  const said = parts.filter((it): it is string => typeof it === "string" && it !== "");
  return said.map((it) => it.charAt(0).toUpperCase() + it.slice(1).replace(/\.$/, "")).join(". ");
}

function renderReference(schema: Fields | undefined): string {
  const name = String(schema?.["$ref"] ?? "")
    .split("/")
    .at(-1);
  return name ? `: <a href="#${name}">${name}</a>` : "";
}

function renderSchemas({ components }: OpenApiDocument): string {
  return Object.entries(components.schemas)
    .map(
      ([name, schema]) => `<section><h2 id="${name}"><a href="#${name}">${name}</a></h2>
${schema["description"] ? `<p>${inline(String(schema["description"]))}</p>` : ""}
${renderFields(bodyRows(schema)).replaceAll("<td>body</td>", "").replace("<th>In</th>", "")}</section>`,
    )
    .join("\n");
}

/** A command that does what the example says, as one would type it. */
function curl(method: string, path: string, { parameters, requestBody }: DocumentedOperation): string {
  const verb = method === "get" ? "" : ` -X ${method.toUpperCase()}`;
  const lines = [`curl${verb} "$HIVEPOST_URL${fillPath(path, parameters)}${queryOf(parameters)}"`];
  lines.push(`-H "Authorization: Bearer $HIVEPOST_TOKEN"`);
  const example = requestBody?.content["application/json"]?.example;
  if (example !== undefined) {
    lines.push(`-H "Content-Type: application/json"`, `-d '${JSON.stringify(example).replaceAll("'", "'\\''")}'`);
  }
  return lines.join(" \\\n  ");
}

function fillPath(template: string, parameters: readonly Parameter[]): string {
  return template.replace(/\{(\w+)\}/g, (_, field: string) =>
    String(parameters.find((it) => it.name === field)?.example),
  );
}

function queryOf(parameters: readonly Parameter[]): string {
  const given = parameters.filter((it) => it.in === "query" && it.example !== undefined);
  const fields = given.map(({ name, example }) => (typeof example === "object" ? example : { [name]: example }));
  const query = new URLSearchParams(Object.assign({}, ...fields) as Record<string, string>);
  return query.size === 0 ? "" : `?${query}`;
}

/** Escapes, and shows what stands between backticks as code. */
function inline(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}
