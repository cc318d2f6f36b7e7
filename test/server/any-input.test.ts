import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { operationNames, splitRoute } from "../../src/contract/routes.ts";
import { startHive, type TestHive } from "./test-hive.ts";
import { openStream } from "./test-stream.ts";

/** Values that look right often enough to get past the first check. */
const plausible = fc.oneof(
  fc.constantFrom<unknown>(
    "ada",
    "bob",
    "nobody",
    "urgent",
    "task",
    "2026-01-05T09:00:00Z",
    "9999-99-99T99:99:99Z",
    "",
    0,
    1,
    -1,
    5,
  ),
  fc.constantFrom<unknown>(
    "019b8d4e-7c00-7a31-9f1e-5b2c8d6e4f10",
    "00000000-0000-7000-8000-000000000000",
    null,
    true,
    [],
    {},
  ),
  fc.jsonValue(),
  fc.string({ unit: "binary", maxLength: 200 }),
);
const field = fc.constantFrom(
  ...["agent_id", "to_agent", "to", "content", "from_agent", "id", "idempotency_key", "priority", "message_type"],
  ...["conversation_id", "reply_to", "metadata", "deliver_at", "expires_at", "when", "offline", "messages", "limit"],
  ...["lease_ms", "lease_id", "message_id", "message_ids", "acknowledgements", "participants", "status", "cursor", "q"],
  ...["order", "since", "until", "capabilities", "aliases", "groups", "delay_ms", "event", "metadata.a", "__proto__"],
);
const input = fc.oneof(
  fc.dictionary(field, plausible, { maxKeys: 6 }),
  fc.record({ to_agent: fc.constantFrom("ada", "bob"), content: fc.string({ unit: "binary" }), metadata: fc.object() }),
  fc.jsonValue(),
);
/** No claim is asked to wait: what is sent here is random, and might ask for a minute. */
const operation = fc.constantFrom(...operationNames);
const without_wait = (body: unknown) =>
  typeof body === "object" && body !== null ? { ...body, wait_ms: undefined } : body;

describe("whatever comes in", () => {
  let hive: TestHive;
  before(async () => {
    hive = await startHive();
  });
  after(() => hive[Symbol.asyncDispose]());

  const requireSane = (status: number, text: string) => {
    assert.ok(status < 500, `${status} ${text.slice(0, 500)}`);
  };

  it("as the body of any operation, is answered and never an internal error", async () => {
    await fc.assert(
      fc.asyncProperty(operation, input, async (name, body) => {
        const { method, template } = splitRoute(name);
        const path = template.replace("{agent_id}", "bob").replace(/\{\w+\}/, "019b8d4e-7c00-7a31-9f1e-5b2c8d6e4f10");
        if (method === "GET") return;
        const { status, text } = await hive.call(method, path, { body: JSON.stringify(without_wait(body)) ?? "" });
        requireSane(status, text);
      }),
      { numRuns: 300 },
    );
  });

  it("as bytes that claim to be JSON, is answered and never an internal error", async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.json().chain((json) =>
        fc.record({ at: fc.nat(json.length), byte: fc.nat(255) }).map(({ at, byte }) => {
          const text = new TextEncoder().encode(json);
          text[at] = byte;
          return text;
        }),
      ),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (body) => {
        const { status, text } = await hive.call("POST", "/messages", { body: new Uint8Array(body) });
        requireSane(status, text);
      }),
      { numRuns: 200 },
    );
  });

  it("as a query string or path, is answered and never an internal error", async () => {
    const key = fc.oneof(field, fc.string({ unit: "binary", maxLength: 20 }));
    const pair = fc.tuple(key, plausible).map(([name, value]) => `${encode(name)}=${encode(String(value))}`);
    const query = fc.oneof(
      fc.array(pair, { maxLength: 5 }).map((pairs) => pairs.join("&")),
      fc.string({ unit: fc.constantFrom(..."%&=+.?/;0aAzZ[]{}_-~!'()*,:@$"), maxLength: 60 }),
    );
    const path = fc.oneof(
      fc.constantFrom(
        "/messages",
        "/conversations",
        "/agents",
        "/dead-letters",
        "/agents/bob/inbox",
        "/health",
        "/docs",
      ),
      fc.string({ unit: fc.constantFrom(..."%/.a0-_~:@+"), maxLength: 40 }).map((it) => `/agents/${it}`),
    );
    await fc.assert(
      fc.asyncProperty(path, query, async (at, asked) => {
        const { status, text } = await hive.call("GET", `${at}?${asked}`);
        requireSane(status, text);
      }),
      { numRuns: 300 },
    );
  });

  it("as a request on the stream, is answered under its id and never an internal error", async () => {
    await using stream = await openStream(hive.url);
    const op = fc.oneof(
      operation,
      fc.constantFrom("subscribe", "unsubscribe", "credit", "follow", "constructor", "__proto__", "toString"),
      fc.string({ maxLength: 20 }),
    );
    await fc.assert(
      fc.asyncProperty(op, input, async (name, given) => {
        const { ok, error } = await stream.ask(name, without_wait(given));
        assert.ok(ok === true || (typeof error.code === "string" && error.code !== "internal"), JSON.stringify(error));
      }),
      { numRuns: 400 },
    );
  });

  it("as a frame on the stream, is answered or ends that connection and no other", async () => {
    const frame = fc.oneof(
      fc.json(),
      fc.string({ unit: "binary" }),
      fc.uint8Array().map((it) => Buffer.from(it)),
    );
    await using other = await openStream(hive.url);
    await fc.assert(
      fc.asyncProperty(frame, fc.boolean(), async (bytes, binary) => {
        await using stream = await openStream(hive.url);
        stream.ws.send(bytes, { binary });
        const outcome = await Promise.race([stream.next(), stream.closed]);
        assert.ok("code" in outcome || outcome.error.code === "invalid_input", JSON.stringify(outcome));
        assert.equal((await other.ask("health")).ok, true);
      }),
      { numRuns: 100 },
    );
  });

  it("as bytes on the socket, is answered or the connection closed, and the server goes on", async () => {
    const { rawRequest } = await import("./raw-request.ts");
    const line = fc.oneof(
      fc.string({ unit: "binary", maxLength: 100 }),
      fc.constantFrom("GET /health HTTP/1.1", "POST /messages HTTP/1.1", "Host: localhost", "Content-Length: 5", ""),
      fc.constantFrom(
        "Transfer-Encoding: chunked",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: x",
      ),
      fc.constantFrom(
        "GET /stream HTTP/1.1",
        "Sec-WebSocket-Protocol: hivepost.v1",
        "Authorization: Bearer hvp_test_operator",
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 12 }), async (lines) => {
        const answer = await rawRequest(hive.port, `${lines.join("\r\n")}\r\n\r\n`);
        assert.ok(answer === "" || /^HTTP\/1\.1 [1234]\d\d /.test(answer), answer.slice(0, 300));
      }),
      { numRuns: 200 },
    );
    assert.equal((await hive.call("GET", "/health")).status, 200);
  });
});

function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
