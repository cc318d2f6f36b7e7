import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { rawRequest } from "./raw-request.ts";
import { refusal, startHive, type TestHive } from "./test-hive.ts";

describe("REST", () => {
  let hive: TestHive;
  before(async () => {
    hive = await startHive();
  });
  after(() => hive[Symbol.asyncDispose]());

  const send = (fields: object = {}) =>
    hive.call("POST", "/messages", { body: { to_agent: "bob", content: "hello", ...fields } });

  describe("an operation", () => {
    it("answers 201 and where to find what it made", async () => {
      const { status, headers, body } = await send({ metadata: { ticket: 42 } });
      assert.deepEqual(
        { status, location: headers.get("location"), content: body.content, metadata: body.metadata },
        { status: 201, location: `/messages/${body.id}`, content: "hello", metadata: { ticket: 42 } },
      );
    });

    it("takes fields from path, query and body", async () => {
      const { body: sent } = await send({ metadata: { path: { deep: "a b&c" } } });
      const found = await hive.call("GET", "/messages?metadata.path.deep=a+b%26c&limit=5&order=asc");
      assert.deepEqual(
        found.body.messages.map((it: { id: string }) => it.id),
        [sent.id],
      );
      const beat = await hive.call("POST", "/agents/ada/heartbeat", { body: { status: "busy" } });
      assert.deepEqual([beat.body.agent_id, beat.body.status], ["ada", "busy"]);
    });

    it("takes a query as it was written, question marks and plus signs included", async () => {
      const { body: sent } = await send({ metadata: { asked: "what? a+b" } });
      const found = await hive.call("GET", "/messages?metadata.asked=what?+a%2Bb");
      assert.deepEqual(
        found.body.messages.map((it: { id: string }) => it.id),
        [sent.id],
      );
    });

    it("needs no body where every field may be left out", async () => {
      assert.equal((await hive.call("POST", "/agents/ada/heartbeat")).status, 200);
    });

    it("takes a path field in the body too, if it says the same", async () => {
      const same = await hive.call("POST", "/agents/ada/heartbeat", { body: { agent_id: "ada" } });
      assert.equal(same.status, 200);
      const other = await refusal(hive.call("POST", "/agents/ada/heartbeat", { body: { agent_id: "bob" } }));
      assert.deepEqual([other.status, other.code], [400, "invalid_input"]);
      assert.match(other.detail, /\/agent_id/);
    });
  });

  describe("the Idempotency-Key header", () => {
    it("stands for idempotency_key", async () => {
      const headers = { "idempotency-key": "once" };
      const body = { to_agent: "bob", content: "the same" };
      const [first, again] = [
        await hive.call("POST", "/messages", { body, headers }),
        await hive.call("POST", "/messages", { body: { ...body, idempotency_key: "once" } }),
      ];
      assert.equal(again.body.id, first.body.id);
    });

    it("must not contradict the body", async () => {
      const body = { to_agent: "bob", content: "x", idempotency_key: "a" };
      const { code, detail } = await refusal(
        hive.call("POST", "/messages", { body, headers: { "idempotency-key": "b" } }),
      );
      assert.equal(code, "invalid_input");
      assert.match(detail, /idempotency_key/);
    });

    it("is refused for a batch, where it could only mislead", async () => {
      const body = { messages: [{ to_agent: "bob", content: "x" }] };
      const { code } = await refusal(
        hive.call("POST", "/messages/batch", { body, headers: { "idempotency-key": "b" } }),
      );
      assert.equal(code, "invalid_input");
    });
  });

  describe("a request", () => {
    it("needs a token, and is told how to send one", async () => {
      for (const authorization of [undefined, "Bearer", "Basic YTpi", "Bearer wrong", "Bearer two words"]) {
        const { status, headers, body } = await hive.call("GET", "/agents", { headers: { authorization } });
        assert.deepEqual(
          [status, headers.get("www-authenticate"), body.code],
          [401, 'Bearer realm="hivepost"', "unauthenticated"],
        );
      }
    });

    it("is refused before its body is read where the token is wrong", async () => {
      const answer = await hive.call("POST", "/messages", {
        body: "{broken",
        headers: { authorization: "Bearer wrong" },
      });
      assert.equal(answer.body.code, "unauthenticated");
    });

    it("gets headers that forbid guessing, framing, caching and sharing, and an id", async () => {
      const { headers } = await hive.call("GET", "/agents");
      for (const name of [
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "content-security-policy",
        "x-request-id",
      ]) {
        assert.ok(headers.get(name), name);
      }
      assert.equal(headers.get("cache-control"), "no-store");
      assert.equal(headers.get("access-control-allow-origin"), null);
    });

    it("must name this server, so that no other name can be pointed here", async () => {
      const wrong = await rawRequest(
        hive.port,
        "GET /health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
      );
      assert.match(wrong, /^HTTP\/1.1 403 [\s\S]*"code":"forbidden"/);
      for (const host of ["localhost", "127.0.0.1:1", "[::1]:5", "LOCALHOST:80", "hive.localhost"]) {
        const right = await rawRequest(hive.port, `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
        assert.match(right, /^HTTP\/1.1 200 /);
      }
    });

    it("may come from a page of this server and of no other", async () => {
      const from = (origin: string) => hive.call("GET", "/agents", { headers: { origin } });
      assert.equal((await from(hive.url)).status, 200);
      for (const origin of ["http://evil.example", "null", "http://127.0.0.1:1", "file://"]) {
        assert.equal((await from(origin)).body.code, "forbidden");
      }
    });

    it("must be JSON", async () => {
      const { status, detail } = await refusal(
        hive.call("POST", "/messages", { body: "a=1", headers: { "content-type": "text/plain" } }),
      );
      assert.equal(status, 415);
      assert.match(detail, /application\/json/);
    });

    it("may have a body only where the operation takes one", async () => {
      const { detail } = await refusal(hive.call("DELETE", "/agents/nobody", { body: { a: 1 } }));
      assert.match(detail, /takes no body/);
      const get = await rawRequest(
        hive.port,
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
      );
      assert.match(get, /^HTTP\/1.1 400 [\s\S]*takes no body/);
    });

    it("is refused when it is larger than the operation takes", async () => {
      const content = "x".repeat(300_000);
      const one = await refusal(send({ content }));
      assert.deepEqual([one.status, one.code], [413, "body_too_large"]);
      const batch = await hive.call("POST", "/messages/batch", { body: { messages: [{ to_agent: "bob", content }] } });
      assert.equal(batch.status, 200);
    });

    it("to nowhere, or with a wrong method, is told so", async () => {
      const nowhere = await refusal(hive.call("GET", "/nowhere"));
      assert.deepEqual([nowhere.status, nowhere.code], [404, "operation_not_found"]);
      const { status, headers, body } = await hive.call("PUT", "/messages/batch", { body: {} });
      assert.deepEqual(
        [status, headers.get("allow"), body.code],
        [405, "POST, GET, HEAD, OPTIONS", "operation_not_found"],
      );
    });

    it("by OPTIONS says what a path takes, without allowing other origins", async () => {
      const { status, headers } = await hive.call("OPTIONS", "/agents/ada", { headers: { authorization: undefined } });
      assert.deepEqual([status, headers.get("allow")], [204, "PUT, GET, HEAD, DELETE, OPTIONS"]);
      assert.equal(headers.get("access-control-allow-origin"), null);
    });

    it("by HEAD gets the headers of GET", async () => {
      const { status, text, headers } = await hive.call("HEAD", "/agents");
      assert.deepEqual([status, text], [200, ""]);
      assert.ok(Number(headers.get("content-length")) > 0);
    });

    it("with a bad percent-encoding or an endless id in its path is refused", async () => {
      assert.equal((await refusal(hive.call("GET", "/agents/%zz"))).code, "invalid_input");
      assert.equal((await refusal(hive.call("GET", `/agents/${"a".repeat(500)}`))).code, "invalid_input");
      assert.equal((await refusal(hive.call("GET", `/agents/${"a".repeat(5_000)}`))).code, "invalid_input");
    });
  });

  describe("health", () => {
    it("says only whether the server works to those without a token", async () => {
      const open = await hive.call("GET", "/health", { headers: { authorization: undefined } });
      assert.deepEqual([open.status, open.body], [200, { status: "ok" }]);
      const detailed = await hive.call("GET", "/health");
      assert.deepEqual(
        [detailed.body.status, detailed.body.version, detailed.body.store.kind],
        ["ok", "1.2.3", "memory"],
      );
      assert.equal((await hive.call("GET", "/health", { headers: { authorization: "Bearer wrong" } })).status, 401);
    });
  });
});
