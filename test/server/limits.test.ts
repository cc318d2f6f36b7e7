import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { clockAt, messageId } from "../support/fixtures.ts";
import { limitedToken, otherLimitedToken, startHive, type TestHive, token } from "./test-hive.ts";
import { openStream, refusalOf } from "./test-stream.ts";

const bearer = (it: string) => ({ authorization: `Bearer ${it}` });
const limited = bearer(limitedToken);
const letter = { to_agent: "bob", content: "hello" };
/** For a clock that stands still: what is used up does not come back, and refusals come soon. */
const scarce = { sends_per_second: 100, sends_burst: 3 };
const scarceReads = { reads_per_second: 100, reads_burst: 1 };

const send = (hive: TestHive, headers: Record<string, string> = limited) =>
  hive.call("POST", "/messages", { body: letter, headers });

async function metricsOf(hive: TestHive): Promise<string> {
  return (await hive.call("GET", "/metrics")).text;
}

describe("over HTTP, an agent that asks too much", () => {
  it("is refused with how long to wait, and with how it stands in every answer", async () => {
    await using hive = await startHive({ config: { sends_per_second: 1, sends_burst: 2 }, clock: clockAt() });
    const answers = [await send(hive), await send(hive), await send(hive)];
    assert.deepEqual(
      answers.map((it) => it.status),
      [201, 201, 429],
    );
    const [first, , third] = answers;
    const fields = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit-policy", "ratelimit"];
    assert.deepEqual(
      fields.map((it) => first?.headers.get(it)),
      ["2", "1", "1", '"send";q=2;w=2', '"send";r=1;t=1'],
    );
    assert.deepEqual([third?.headers.get("ratelimit-remaining"), third?.headers.get("retry-after")], ["0", "1"]);
    assert.deepEqual([third?.body.code, third?.body.retry_after_ms > 0], ["rate_limited", true]);
    assert.match(await metricsOf(hive), /^hivepost_rate_limited_total\{class="send"\} 1$/m);
  });

  it("is told nothing of limits where it has none", async () => {
    await using hive = await startHive({ config: scarce, clock: clockAt() });
    const { headers } = await send(hive, bearer(token));
    assert.equal(headers.get("ratelimit-limit"), null);
  });

  it("pays for each message of a batch", async () => {
    await using hive = await startHive({ config: scarce, clock: clockAt() });
    const batch = (count: number) =>
      hive.call("POST", "/messages/batch", { body: { messages: Array(count).fill(letter) }, headers: limited });
    assert.deepEqual([(await batch(3)).status, (await send(hive)).status], [200, 429]);
    const { status, body } = await batch(4);
    assert.deepEqual([status, body.code, body.retry_after_ms], [400, "invalid_input", undefined]);
  });

  it("pays for what turns out to be wrong", async () => {
    await using hive = await startHive({ config: scarce, clock: clockAt() });
    const wrong = () => hive.call("POST", "/messages", { body: { nonsense: true }, headers: limited });
    const statuses = [await wrong(), await wrong(), await wrong(), await wrong()].map((it) => it.status);
    assert.deepEqual(statuses, [400, 400, 400, 429]);
  });

  it("can bring its work to an end, and others feel nothing", async () => {
    await using hive = await startHive({ config: { ...scarce, ...scarceReads }, clock: clockAt() });
    await hive.call("POST", "/messages", { body: { from_agent: "bob", to_agent: "ada", content: "work" } });
    const claim = await hive.call("POST", "/agents/ada/inbox/claim", { body: {}, headers: limited });
    const [{ message, lease_id }] = claim.body.deliveries;
    for (let i = 0; i < 4; i++) await send(hive);
    assert.equal((await hive.call("GET", "/agents/ada", { headers: limited })).status, 429);
    const extended = await hive.call("POST", `/messages/${message.id}/extend`, {
      body: { lease_id, lease_ms: 1_000 },
      headers: limited,
    });
    const done = await hive.call("POST", `/messages/${message.id}/acknowledge`, {
      body: { lease_id },
      headers: limited,
    });
    assert.deepEqual([extended.status, done.body], [200, { acknowledged: true }]);
    const other = await hive.call("POST", "/messages", {
      body: { ...letter, to_agent: "ada" },
      headers: bearer(otherLimitedToken),
    });
    assert.equal(other.status, 201);
  });

  it("gets its refusals no faster than the limit, over however many connections", async () => {
    await using hive = await startHive({ config: { sends_per_second: 20, sends_burst: 1 } });
    await send(hive);
    const started_ms = performance.now();
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(hive)));
    const refused = answers.filter((it) => it.status === 429).length;
    assert.ok(refused >= 8, `${refused} refused`);
    assert.ok(performance.now() - started_ms >= refused * 50 - 60);
  });
});

describe("over WebSocket, an agent that asks too much", () => {
  it("is refused with how long to wait, and shares its limit with its other connections", async () => {
    await using hive = await startHive({ config: scarce, clock: clockAt() });
    await using stream = await openStream(hive.url, { headers: limited });
    await using second = await openStream(hive.url, { headers: limited });
    for (let i = 0; i < 2; i++) assert.equal((await stream.ask("sendMessage", letter)).ok, true);
    assert.equal((await second.ask("sendMessage", letter)).ok, true);
    const { ok, error } = await stream.ask("sendMessage", letter);
    assert.deepEqual([ok, error.code, error.retry_after_ms >= 1], [false, "rate_limited", true]);
    assert.equal((await send(hive)).status, 429);
  });

  it("still gets its mail pushed and can acknowledge it", async () => {
    await using hive = await startHive({ config: { ...scarce, ...scarceReads }, clock: clockAt() });
    await using stream = await openStream(hive.url, { headers: limited });
    assert.equal((await stream.ask("subscribe", { agent_id: "ada", credit: 1 })).ok, true);
    const refusals = Array.from({ length: 5 }, () => stream.ask("getAgent", { agent_id: "ada" }));
    for (let i = 0; i < 5; i++) {
      await hive.call("POST", "/messages", { body: { from_agent: "bob", to_agent: "ada", content: `work ${i}` } });
      const { delivery } = await stream.next();
      const { message_id = delivery.message.id, lease_id } = delivery;
      assert.deepEqual(await stream.ask("acknowledgeMessage", { message_id, lease_id }).then((it) => it.output), {
        acknowledged: true,
      });
    }
    assert.ok((await Promise.all(refusals)).some((it) => it.error?.code === "rate_limited"));
  });

  it("pays for subscribing, unknown operations and nonsense", async () => {
    await using hive = await startHive({ config: { reads_per_second: 100, reads_burst: 3 }, clock: clockAt() });
    await using stream = await openStream(hive.url, { headers: limited });
    const asked = [
      await stream.ask("openTheDoor"),
      await stream.ask("getAgent", 7),
      await stream.ask("subscribe", { agent_id: "ada", credit: 1 }),
      await stream.ask("openTheDoor"),
    ];
    assert.deepEqual(
      asked.map((it) => it.error?.code ?? "ok"),
      ["operation_not_found", "invalid_input", "ok", "rate_limited"],
    );
    stream.ws.send('{"id":true}');
    assert.equal((await stream.next()).error.code, "invalid_input");
    assert.match(await metricsOf(hive), /^hivepost_rate_limited_total\{class="read"\} 2$/m);
  });

  it("is not read while its refusals wait, and is answered in the end", async () => {
    await using hive = await startHive({ config: { sends_per_second: 2, sends_burst: 1 } });
    await using stream = await openStream(hive.url, { headers: limited });
    const frame = { ...letter, content: "x".repeat(30_000) };
    const asked = Array.from({ length: 60 }, () => stream.ask("sendMessage", frame));
    // 60 frames of 30 kB are much more than what a socket hands over at once.
    const first = await Promise.race([asked.at(-1), new Promise((resolve) => setTimeout(resolve, 300))]);
    assert.equal(first, undefined);
    stream.ws.terminate();
    await stream.closed;
    const refused = /^hivepost_rate_limited_total\{class="send"\} (\d+)$/m.exec(await metricsOf(hive))?.[1];
    assert.ok(Number(refused) > 0 && Number(refused) < 30, `${refused} were read`);
  });
});

describe("over MCP, an agent that asks too much", () => {
  it("is told so as the result of its tool", async () => {
    await using hive = await startHive({ config: scarce, clock: clockAt() });
    const client = new Client({ name: "test", version: "1" });
    const transport = new StreamableHTTPClientTransport(new URL(`${hive.url}/mcp`), {
      requestInit: { headers: limited },
    });
    // The SDK's own types disagree under exactOptionalPropertyTypes.
    await client.connect(transport as Parameters<Client["connect"]>[0]);
    try {
      for (let i = 0; i < 3; i++) await client.callTool({ name: "sendMessage", arguments: letter });
      const { isError, structuredContent } = await client.callTool({ name: "sendMessage", arguments: letter });
      const { error } = structuredContent as { error: { code: string; retry_after_ms: number } };
      assert.deepEqual([isError, error.code, error.retry_after_ms >= 1], [true, "rate_limited", true]);
    } finally {
      await client.close();
    }
  });
});

describe("whoever tries wrong tokens", () => {
  const guess = (hive: TestHive, it = "hvp_test_wrong") => hive.call("GET", "/agents", { headers: bearer(it) });

  it("is locked out after 20 in a minute, while valid tokens from the same address are let in", async () => {
    await using hive = await startHive({ clock: clockAt() });
    for (let i = 0; i < 20; i++) assert.equal((await guess(hive, `hvp_guess_${i}`)).status, 401);
    const { status, headers, body } = await guess(hive);
    assert.deepEqual([status, headers.get("retry-after"), body.code], [429, "3", "rate_limited"]);
    assert.doesNotMatch(JSON.stringify(body), /hvp_/);
    for (const valid of [token, limitedToken]) assert.equal((await guess(hive, valid)).status, 200);
    assert.equal((await guess(hive)).status, 429);
    assert.match(await metricsOf(hive), /^hivepost_locked_out_total 2$/m);
  });

  it("is counted over REST, MCP, WebSocket, malformed headers, tickets and the ticket office together", async () => {
    await using hive = await startHive({ config: { failed_logins_per_minute: 6 }, clock: clockAt() });
    const wrong = bearer("hvp_test_wrong");
    const statuses = [
      (await guess(hive)).status,
      (await hive.call("POST", "/mcp", { body: {}, headers: wrong })).status,
      (await refusalOf(hive.url, { headers: wrong })).status,
      (await refusalOf(hive.url, { headers: {}, query: "?ticket=guessed" })).status,
      (await hive.call("POST", "/stream/ticket", { headers: wrong })).status,
      (await hive.call("GET", "/health", { headers: { authorization: "Basic YTpi" } })).status,
    ];
    assert.deepEqual(statuses, [401, 401, 401, 401, 401, 401]);
    const locked = [
      (await guess(hive)).status,
      (await hive.call("POST", "/mcp", { body: {}, headers: wrong })).status,
      (await refusalOf(hive.url, { headers: wrong })).status,
      (await refusalOf(hive.url, { headers: {}, query: "?ticket=guessed" })).status,
      (await hive.call("POST", "/stream/ticket", { headers: wrong })).status,
    ];
    assert.deepEqual(locked, [429, 429, 429, 429, 429]);
    const { body } = await hive.call("POST", "/stream/ticket");
    await using stream = await openStream(hive.url, { headers: {}, query: `?ticket=${body.ticket}` });
    assert.equal((await stream.ask("health")).ok, true);
  });

  it("is told when to come back also where a WebSocket is refused", async () => {
    await using hive = await startHive({ config: { failed_logins_per_minute: 1 }, clock: clockAt() });
    await guess(hive);
    const text = await rawUpgrade(hive.port);
    assert.match(text, /^HTTP\/1\.1 429 /);
    assert.match(text, /^retry-after: 60\r$/im);
  });

  it("is known by the connection, whatever a header says of where it comes from", async () => {
    await using hive = await startHive({ config: { failed_logins_per_minute: 1 }, clock: clockAt() });
    await guess(hive);
    for (const header of ["x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip"]) {
      const headers = { ...bearer("hvp_test_wrong"), [header]: header === "forwarded" ? "for=192.0.2.7" : "192.0.2.7" };
      assert.equal((await hive.call("GET", "/agents", { headers })).status, 429, header);
    }
  });

  it("does not lock out who comes without any token, nor another address", async () => {
    await using hive = await startHive({ config: { failed_logins_per_minute: 1 }, clock: clockAt() });
    for (let i = 0; i < 3; i++) {
      assert.equal((await hive.call("GET", "/agents", { headers: { authorization: undefined } })).status, 401);
    }
    await guess(hive);
    assert.equal((await guess(hive)).status, 429);
    assert.equal(await statusFrom("127.0.0.2", hive.port), 401);
  });
});

/** What a WebSocket handshake with a wrong token is answered, to the letter. */
function rawUpgrade(port: number): Promise<string> {
  const key = Buffer.from(messageId().slice(0, 16)).toString("base64");
  const lines = [
    "GET /stream HTTP/1.1",
    `Host: 127.0.0.1:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    "Sec-WebSocket-Protocol: hivepost.v1",
    "Authorization: Bearer hvp_test_wrong",
  ];
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, "127.0.0.1", () => socket.write(`${lines.join("\r\n")}\r\n\r\n`));
    let text = "";
    socket.setEncoding("utf8").on("data", (it: string) => {
      text += it;
    });
    socket.on("end", () => resolve(text)).on("error", reject);
  });
}

/** The status of a request with a wrong token from another address of this machine. */
function statusFrom(localAddress: AddressInfo["address"], port: number): Promise<number | undefined> {
  const headers = { authorization: "Bearer hvp_test_wrong" };
  return new Promise((resolve, reject) => {
    const asked = httpRequest({ host: "127.0.0.1", port, path: "/agents", localAddress, headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.on("error", reject).end();
  });
}
