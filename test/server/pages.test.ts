import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Compile } from "typebox/compile";
import { type ErrorCode, errorStatus } from "../../src/contract/errors.ts";
import { operations } from "../../src/contract/operations.ts";
import { operationNames, routes } from "../../src/contract/routes.ts";
import { renderErrors } from "../../src/server/errors-page.ts";
import { examples } from "../../src/server/examples.ts";
import { agentToken, startHive, type TestHive } from "./test-hive.ts";
import { openStream } from "./test-stream.ts";

describe("the pages beside the operations:", () => {
  let hive: TestHive;
  before(async () => {
    hive = await startHive();
  });
  after(() => hive[Symbol.asyncDispose]());
  const open = (path: string) => hive.call("GET", path, { headers: { authorization: undefined } });

  describe("/openapi.json", () => {
    it("has every operation under its route, with the problems it may answer", async () => {
      const { body } = await open("/openapi.json");
      assert.equal(body.openapi, "3.1.0");
      for (const name of operationNames) {
        const [method = "", path = ""] = routes[name].split(" ");
        const operation = body.paths[path][method.toLowerCase()];
        assert.equal(operation.operationId, name);
        const { status = 200 } = operations[name] as { status?: number };
        assert.ok(operation.responses[status].content["application/json"].schema);
        assert.ok(operation.responses[500].content["application/problem+json"]);
      }
      const sent = body.paths["/messages"].post;
      const told = Object.values(sent.responses).map((it) => (it as { description: string }).description);
      const served = (Object.keys(errorStatus) as ErrorCode[]).filter((code) => told.join().includes(`\`${code}\``));
      assert.ok(served.includes("inbox_full") && served.includes("storage_full") && !served.includes("unreachable"));
    });

    it("declares each path parameter, names each operation once, and refers only to what is there", async () => {
      const { body, text } = await open("/openapi.json");
      const ids: string[] = [];
      for (const [path, methods] of Object.entries<Record<string, { operationId: string; parameters: never[] }>>(
        body.paths,
      )) {
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        for (const { operationId, parameters } of Object.values(methods)) {
          ids.push(operationId);
          const declared = (parameters as { name: string; in: string; required: boolean; schema: object }[]).filter(
            (it) => it.in === "path" && it.required,
          );
          assert.deepEqual(
            declared.map((it) => it.name),
            inPath,
          );
        }
      }
      assert.equal(new Set(ids).size, ids.length);
      const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name = ""]) => name);
      assert.ok(references.length > 20);
      for (const name of references) assert.ok(Object.hasOwn(body.components.schemas, name), name);
      assert.doesNotMatch(text, /"\$id"/);
      assert.deepEqual(Object.keys(body.components.securitySchemes), ["token"]);
    });

    it("shows no path field in a body, and query fields only where there is no body", async () => {
      const { body } = await open("/openapi.json");
      const claim = body.paths["/agents/{agent_id}/inbox/claim"].post;
      assert.ok(!("agent_id" in claim.requestBody.content["application/json"].schema.properties));
      assert.equal(claim.requestBody.required, false);
      const search = body.paths["/messages"].get;
      assert.equal(search.requestBody, undefined);
      const metadata = search.parameters.find((it: { name: string }) => it.name === "metadata");
      assert.deepEqual([metadata.style, metadata.explode], ["form", true]);
    });
  });

  describe("the examples", () => {
    for (const name of operationNames) {
      it(`of ${name} fit its schemas`, () => {
        const { input, output } = examples[name];
        assert.deepEqual([...Compile(operations[name].input).Errors(input)], []);
        assert.deepEqual([...Compile(operations[name].output).Errors(output)], []);
      });
    }
  });

  describe("/docs", () => {
    it("shows every operation with its fields, a command and an answer, without scripts or anything from elsewhere", async () => {
      const { status, headers, text } = await open("/docs");
      assert.deepEqual([status, headers.get("content-type")], [200, "text/html; charset=utf-8"]);
      for (const name of operationNames) assert.ok(text.includes(`id="${name}"`), name);
      assert.equal(text.match(/curl /g)?.length, operationNames.length + 1);
      assert.match(
        text,
        /\$HIVEPOST_URL\/messages\?participant=ada&amp;q=build\+red&amp;limit=50&amp;metadata\.ticket=42/,
      );
      assert.doesNotMatch(text, /<script|<link|src=|https?:\/\/(?!127\.0\.0\.1)|undefined|\[object/);
      assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'; style-src 'sha256-/);
    });

    it("links only to what is there", async () => {
      for (const path of ["/docs", "/docs/errors"]) {
        const { text } = await open(path);
        const anchors = [...text.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
        assert.ok(anchors.length > 10);
        for (const id of anchors) assert.ok(text.includes(`id="${id}"`), `${path}#${id}`);
      }
    });
  });

  describe("/docs/errors", () => {
    it("has a section for every code, where a problem's type points to", async () => {
      const { text } = await open("/docs/errors");
      assert.match(text, /Remedy/);
      for (const page of [text, renderErrors(undefined)]) {
        for (const code of Object.keys(errorStatus)) assert.ok(page.includes(`id="${code}"`), code);
      }
    });
  });

  describe("/.well-known/agent-card.json", () => {
    it("tells other agents where this hive is and what it does", async () => {
      const { body } = await open("/.well-known/agent-card.json");
      assert.deepEqual([body.name, body.url, body.version], ["Hivepost", hive.url, "1.2.3"]);
      assert.ok(body.skills.length > 0 && body.protocolVersion);
    });
  });

  describe("/metrics", () => {
    it("needs a token that may see everything", async () => {
      assert.equal((await open("/metrics")).status, 401);
      const asAgent = await hive.call("GET", "/metrics", { headers: { authorization: `Bearer ${agentToken}` } });
      assert.equal(asAgent.body.code, "forbidden");
    });

    it("counts requests, connections, subscriptions and what the store says", async () => {
      await using stream = await openStream(hive.url);
      await stream.ask("subscribe", { agent_id: "ada", credit: 1 });
      await stream.ask("sendMessage", { to_agent: "bob", content: "counted", priority: "urgent" });
      await hive.call("GET", "/agents/nobody");
      const { text, headers } = await hive.call("GET", "/metrics");
      assert.match(headers.get("content-type") ?? "", /^text\/plain; version=/);
      for (const line of [
        /^hivepost_inbox_depth\{priority="urgent"\} 1$/m,
        /^hivepost_accepted_total 1$/m,
        /^hivepost_acknowledged_total 0$/m,
        /^hivepost_oldest_age_ms \d/m,
        /^hivepost_connections\{transport="websocket"\} 1$/m,
        /^hivepost_connections\{transport="http"\} [1-9]/m,
        /^hivepost_subscriptions 1$/m,
        /^hivepost_requests_total\{operation="sendMessage",code="ok"\} 1$/m,
        /^hivepost_requests_total\{operation="getAgent",code="agent_not_found"\} 1$/m,
        /^hivepost_request_ms_count\{operation="sendMessage"\} 1$/m,
        /^process_resident_memory_bytes \d/m,
      ]) {
        assert.match(text, line);
      }
    });

    it("turns a store's gauges and observations into metrics, and adds observations up", async () => {
      await using watched = await startHive({
        status: (status) => ({
          ...status,
          gauges: { wal_size_bytes: 4_096, index_lag_messages: 7 },
          observations: { fsync_ms: [0.2, 3], commit_batch_size: [64] },
        }),
      });
      await watched.call("GET", "/metrics");
      const { text } = await watched.call("GET", "/metrics");
      assert.match(text, /^hivepost_wal_size_bytes 4096$/m);
      assert.match(text, /^hivepost_index_lag_messages 7$/m);
      assert.match(text, /^hivepost_fsync_ms_bucket\{le="0\.25"\} 2$/m);
      assert.match(text, /^hivepost_fsync_ms_count 4$/m);
      assert.match(text, /^hivepost_commit_batch_size_bucket\{le="64"\} 2$/m);
    });
  });
});
