import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { openLog } from "../../src/server/log.ts";
import { rawRequest } from "./raw-request.ts";
import { agentToken, refusal, startHive, type TestHive, token } from "./test-hive.ts";
import { refusalOf } from "./test-stream.ts";

const secret = `hvp_admin_${"k".repeat(11)}_${"s".repeat(43)}_123456`;
const authorization = `Authorization: Bearer ${token}`;
const everyHeader = [
  "x-content-type-options: nosniff",
  "x-frame-options: DENY",
  "referrer-policy: no-referrer",
  "cross-origin-resource-policy: same-origin",
  "cross-origin-opener-policy: same-origin",
  "content-security-policy: default-src 'none'",
  "cache-control: no-store",
];
const upgrade = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Protocol: hivepost.v1",
  authorization,
];

/** Lines as HTTP has them, with the blank one. */
const lines = (...all: string[]) => `${all.join("\r\n")}\r\n\r\n`;
const answersIn = (text: string) => text.match(/^HTTP\/1\.1 \d+/gm) ?? [];

/** A request that another server could cut in two differently from us, and then a second one. */
const ambiguous: Readonly<Record<string, string>> = {
  "two lengths": lines("POST /messages HTTP/1.1", "Host: localhost", "Content-Length: 0", "Content-Length: 40"),
  "a length and chunks": `${lines("POST /messages HTTP/1.1", "Host: localhost", "Content-Length: 4", "Transfer-Encoding: chunked")}0\r\n\r\n`,
  "chunks that are not last": lines(
    "POST /messages HTTP/1.1",
    "Host: localhost",
    "Transfer-Encoding: chunked, identity",
  ),
  "an unknown transfer encoding": lines("POST /messages HTTP/1.1", "Host: localhost", "Transfer-Encoding: xchunked"),
  "a space before the colon": lines("POST /messages HTTP/1.1", "Host: localhost", "Content-Length : 40"),
  "a folded header": lines("GET /health HTTP/1.1", "Host: localhost", "X-A: b", " Content-Length: 40"),
  "a negative length": lines("POST /messages HTTP/1.1", "Host: localhost", "Content-Length: -1"),
  "a signed length": lines("POST /messages HTTP/1.1", "Host: localhost", "Content-Length: +40"),
  "a zero byte in a header": lines("GET /health HTTP/1.1", "Host: localhost", "X-A: \u0000"),
  "a bare carriage return": lines("GET /health HTTP/1.1", "Host: localhost", "X-A: b\rContent-Length: 40"),
  "a chunk with a size that overflows": `${lines("POST /messages HTTP/1.1", "Host: localhost", authorization, "Content-Type: application/json", "Transfer-Encoding: chunked")}fffffffffffffffff\r\n`,
};

describe("a request that can be read in two ways", () => {
  for (const [what, request] of Object.entries(ambiguous)) {
    it(`with ${what} is refused, and nothing after it is taken for a request`, async () => {
      await using hive = await startHive();
      const smuggled = lines("GET /docs HTTP/1.1", "Host: localhost", "Connection: close");
      const answer = await rawRequest(hive.port, request + smuggled);
      assert.deepEqual(answersIn(answer), ["HTTP/1.1 400"]);
      assertProtected(answer);
    });
  }

  it("with two Host headers is refused, whichever is ours", async () => {
    await using hive = await startHive();
    for (const hosts of [
      ["localhost", "evil.example"],
      ["evil.example", "localhost"],
      ["localhost", "localhost"],
    ]) {
      const answer = await ask(hive, "GET /health HTTP/1.1", ...hosts.map((it) => `Host: ${it}`));
      assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*more than one Host header/);
    }
  });

  it("with two tokens is refused, since a proxy may have looked at the other", async () => {
    await using hive = await startHive();
    const tokens = [`Authorization: Bearer ${agentToken}`, `authorization: Bearer ${token}`];
    for (const pair of [tokens, tokens.toReversed()]) {
      const answer = await ask(hive, "GET /agents HTTP/1.1", "Host: localhost", ...pair);
      assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*more than one Authorization header/);
    }
  });

  it("without a Host header is refused, by every version of HTTP", async () => {
    await using hive = await startHive();
    assert.match(await ask(hive, "GET /health HTTP/1.1"), /^HTTP\/1\.1 400 [\s\S]*no Host header/);
    assert.match(await ask(hive, "GET /health HTTP/1.0"), /^HTTP\/1\.1 403 [\s\S]*"code":"forbidden"/);
    assertProtected(await ask(hive, "GET /health HTTP/1.1"));
  });

  it("with a whole address for a target is answered where that is ours, and refused where Host says otherwise", async () => {
    await using hive = await startHive();
    const target = (url: string, host: string) => ask(hive, `GET ${url} HTTP/1.1`, `Host: ${host}`);
    assert.match(await target("http://localhost:1/health", "localhost:1"), /^HTTP\/1\.1 200 /);
    assert.match(await target("http://evil.example/health", "localhost"), /^HTTP\/1\.1 400 [\s\S]*different servers/);
    assert.match(await target("http://localhost/health", "evil.example"), /^HTTP\/1\.1 400 [\s\S]*different servers/);
    assert.match(await target("http://evil.example/health", "evil.example"), /^HTTP\/1\.1 403 /);
    assert.match(await target("ftp://localhost/health", "localhost"), /^HTTP\/1\.1 400 [\s\S]*no path/);
    assert.match(await target("http://localhost@evil.example/health", "localhost"), /^HTTP\/1\.1 400 /);
    assert.match(await target("//evil.example/health", "localhost"), /^HTTP\/1\.1 404 /);
  });

  it("to be a tunnel is cut off", async () => {
    await using hive = await startHive();
    const answer = await ask(hive, "CONNECT evil.example:443 HTTP/1.1", "Host: evil.example:443").catch(() => "");
    assert.doesNotMatch(answer, /^HTTP\/1\.1 2/);
  });

  it("with an expectation that nobody knows is answered like any other", async () => {
    await using hive = await startHive();
    const answer = await ask(hive, "GET /health HTTP/1.1", "Host: localhost", "Expect: the-unexpected");
    assert.match(answer, /^HTTP\/1\.1 200 /);
    assertProtected(answer);
  });

  it("for the whole server is told what there is, or that there is nothing", async () => {
    await using hive = await startHive();
    assertProtected(await ask(hive, "OPTIONS * HTTP/1.1", "Host: localhost"));
  });
});

describe("a WebSocket handshake", () => {
  it("is refused for the same reasons as any request, with the same headers", async () => {
    await using hive = await startHive();
    const refused: readonly [string, number, ...string[]][] = [
      ["GET /stream HTTP/1.1", 400, "Host: localhost", "Host: evil.example"],
      ["GET http://evil.example/stream HTTP/1.1", 400, "Host: localhost"],
      ["GET //[ HTTP/1.1", 404, "Host: localhost"],
      ["GET /stream HTTP/1.1", 403, "Host: evil.example"],
      ["GET /stream HTTP/1.1", 403, "Host: localhost", "Origin: http://evil.example"],
      ["GET /stream HTTP/1.1", 403, "Host: localhost", "Sec-Fetch-Site: cross-site"],
      [`GET /stream?token=${secret} HTTP/1.1`, 400, "Host: localhost"],
      ["POST /stream HTTP/1.1", 405, "Host: localhost"],
    ];
    for (const [line, status, ...headers] of refused) {
      const answer = await rawRequest(hive.port, lines(line, ...headers, ...upgrade));
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), line);
      assertProtected(answer);
    }
  });

  it("that the protocol does not allow is refused as a problem", async () => {
    await using hive = await startHive();
    const keyless = upgrade.filter((it) => !it.startsWith("Sec-WebSocket-Key"));
    const answer = await rawRequest(hive.port, lines("GET /stream HTTP/1.1", "Host: localhost", ...keyless));
    assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*"code":"invalid_input"/);
    assertProtected(answer);
  });
});

describe("a token in a URL", () => {
  it("is refused wherever it stands, with a sentence that says so and does not repeat it", async () => {
    await using hive = await startHive();
    const urls = [
      `/agents?token=${secret}`,
      `/health?access_token=x`,
      `/messages?q=${secret}`,
      `/agents/${secret}`,
      `/nowhere/${secret.replaceAll("_", "%5f")}`,
      `/docs?${secret}`,
      `/health?a=%&token=x`,
    ];
    for (const url of urls) {
      const { status, detail } = await refusal(hive.call("GET", url));
      assert.deepEqual(
        [status, /the URL holds a token/.test(detail), detail.includes(secret)],
        [400, true, false],
        url,
      );
    }
    const { status, body } = await refusalOf(hive.url, { query: `?token=${secret}` });
    assert.deepEqual([status, body.code], [400, "invalid_input"]);
  });

  it("gets into no log, whatever is logged", async () => {
    let logged = "";
    const log = openLog("trace", { write: (text) => (logged += text) });
    await using hive = await startHive({
      log,
      wrap: (mailroom) => ({
        ...mailroom,
        async getAgent() {
          throw new Error(`a bug that quotes Bearer ${secret}`);
        },
      }),
    });
    await hive.call("GET", `/agents?token=${secret}`);
    await hive.call("GET", `/agents/${secret}`);
    assert.equal((await hive.call("GET", "/agents/ada")).status, 500);
    await refusalOf(hive.url, { query: `?ticket=${secret}` });
    assert.match(logged, /a bug that quotes Bearer hvp_…/);
    assert.doesNotMatch(logged, /ssss|hvp_test_operator/);
  });
});

describe("a web page of another origin", () => {
  const page = "https://board.example.com";

  it("gets no leave from a server that was told of none", async () => {
    await using hive = await startHive();
    const preflight = { origin: page, "access-control-request-method": "POST", authorization: undefined };
    for (const [method, headers] of [
      ["OPTIONS", preflight],
      ["GET", { origin: page }],
    ] as const) {
      const answer = await hive.call(method, "/agents", { headers });
      assert.equal(answer.status, 403);
      assert.deepEqual(
        [...answer.headers.keys()].filter((it) => it.startsWith("access-control-")),
        [],
      );
    }
  });

  it("gets leave where the operator has named it, for itself alone and without credentials", async () => {
    await using hive = await startHive({ config: { allowed_origins: page } });
    const preflight = { origin: page, "access-control-request-method": "PUT", authorization: undefined };
    const asked = await hive.call("OPTIONS", "/agents/ada", { headers: preflight });
    assert.equal(asked.status, 204);
    assert.equal(asked.headers.get("access-control-allow-origin"), page);
    assert.match(asked.headers.get("access-control-allow-headers") ?? "", /authorization, content-type/);
    const answer = await hive.call("GET", "/agents", { headers: { origin: page } });
    assert.deepEqual([answer.status, answer.headers.get("vary")], [200, "origin"]);
    assert.equal(answer.headers.get("access-control-allow-credentials"), null);
    const refused = await hive.call("GET", "/agents", { headers: { origin: page, authorization: "Bearer wrong" } });
    assert.deepEqual([refused.status, refused.headers.get("access-control-allow-origin")], [401, page]);
    assert.equal((await hive.call("GET", "/agents", { headers: { origin: `${page}.evil.example` } })).status, 403);
  });

  it("finds the address of a server behind a proxy as the operator has named it", async () => {
    await using hive = await startHive({
      config: { allowed_hosts: "board.example.com,localhost", allowed_origins: page },
    });
    const answer = await ask(hive, "GET /.well-known/agent-card.json HTTP/1.1", "Host: board.example.com");
    assert.match(answer, /"url":"https:\/\/board\.example\.com"/);
  });
});

describe("a server that stops", () => {
  it("says so over REST as well, to whoever asked before", async () => {
    const hive = await startHive({ config: { stop_ms: 60_000 } });
    const socket = connect(hive.port, "127.0.0.1");
    socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n");
    await once(socket, "connect");
    // Once this is answered, the half request was read as well.
    await hive.call("GET", "/health");
    const stopped = hive[Symbol.asyncDispose]();
    socket.write("\r\n");
    let text = "";
    for await (const chunk of socket) text += chunk;
    await stopped;
    assert.match(text, /^HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*\{"status":"stopping"\}$/);
  });
});

function ask({ port }: TestHive, ...request: string[]): Promise<string> {
  return rawRequest(port, lines(...request, "Connection: close"));
}

function assertProtected(answer: string): void {
  const head = answer.split("\r\n\r\n")[0] ?? "";
  for (const header of everyHeader) assert.ok(head.includes(`\r\n${header}`), `${header} is missing in\n${head}`);
}
