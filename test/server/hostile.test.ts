import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import type { Delivery } from "../../src/contract/messages.ts";
import { messageId } from "../support/fixtures.ts";
import { rawRequest } from "./raw-request.ts";
import { startHive, token } from "./test-hive.ts";
import { openStream } from "./test-stream.ts";

describe("a client that", () => {
  it("does not speak HTTP is told so and cut off", async () => {
    await using hive = await startHive();
    const answer = await rawRequest(hive.port, "EHLO hive\r\n\r\n");
    assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"invalid_input"/);
  });

  it("sends endless headers is told so and cut off", async () => {
    await using hive = await startHive();
    const answer = await rawRequest(
      hive.port,
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(100_000)}\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1\.1 431 /);
  });

  it("sends its request drop by drop is cut off, while a long poll is not", async () => {
    await using hive = await startHive({ timing: { headers_ms: 150, request_ms: 300, check_ms: 50 } });
    const poll = hive.call("POST", "/agents/ada/inbox/claim", { body: { wait_ms: 1_500 } });
    const silent = await openSocket(hive.port);
    const slowHead = await openSocket(hive.port, "GET /health HTTP/1.1\r\nHost: loc");
    const head =
      "POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n";
    const slowBody = await openSocket(hive.port, `${head}Authorization: Bearer ${token}\r\n\r\n{`);
    const [nothing, headless, bodiless] = await Promise.all([silent, slowHead, slowBody].map(readAll));
    for (const answer of [nothing, headless, bodiless]) assert.match(answer ?? "", /^HTTP\/1\.1 408 |^$/);
    assert.equal((await poll).status, 200);
  });

  it("opens a thousand sockets and says nothing keeps nobody else out, and they are closed", async () => {
    await using hive = await startHive({ timing: { headers_ms: 500, check_ms: 50 } });
    const sockets = await Promise.all(Array.from({ length: 1_000 }, () => openSocket(hive.port)));
    assert.equal((await hive.call("GET", "/health")).status, 200);
    await Promise.all(sockets.map(readAll));
  });

  it("opens one connection more than there may be is cut off, until another leaves", async () => {
    await using hive = await startHive({ config: { connections: 3 } });
    const streams = [await openStream(hive.url), await openStream(hive.url), await openStream(hive.url)];
    assert.equal(
      await rawRequest(hive.port, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
      "",
    );
    await streams[0]?.[Symbol.asyncDispose]();
    const [one] = streams.slice(1);
    // The server hears of the end a moment later than the client.
    while ((await hiveConnections(hive.port)) === undefined);
    assert.equal((await one?.ask("health"))?.ok, true);
    for (const stream of streams) await stream[Symbol.asyncDispose]();
    const { text } = await hive.call("GET", "/metrics");
    assert.match(text, /hivepost_connections_refused_total [1-9]/);
  });

  it("offers HTTP/2 by an Upgrade header is served all the same", async () => {
    await using hive = await startHive();
    const offer =
      "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
    assert.match(
      await rawRequest(hive.port, `GET /health HTTP/1.1\r\nHost: localhost\r\n${offer}\r\n`),
      /^HTTP\/1\.1 200 /,
    );
  });

  it("vanishes in the middle of a frame, or breaks the framing, harms nobody", async () => {
    await using hive = await startHive();
    await using other = await openStream(hive.url);
    const half = await openRawStream(hive.port);
    half.write(Buffer.from([0x81, 0xfe, 0x10]));
    half.destroy();
    const unmasked = await openRawStream(hive.port);
    const answer = readAll(unmasked);
    unmasked.write(Buffer.from([0x81, 0x02, 0x7b, 0x7d]));
    // 1002, protocol error: 0x03ea.
    assert.ok(Buffer.from(await answer, "latin1").includes(Buffer.from([0x88, 0x02, 0x03, 0xea])));
    assert.equal((await other.ask("health")).ok, true);
  });

  it("asks and does not read is not read from either, until it catches up", async () => {
    let asked = 0;
    const content = "x".repeat(100_000);
    await using hive = await startHive({
      wrap: (mailroom) => ({
        ...mailroom,
        async getMessage(input, call) {
          asked += 1;
          return { ...(await mailroom.getMessage(input, call)), content };
        },
      }),
    });
    const { body } = await hive.call("POST", "/messages", { body: { to_agent: "bob", content: "large" } });
    await using stream = await openStream(hive.url);
    stream.ws.pause();
    const count = 500;
    // Large questions as well, so that they do not all arrive in one piece.
    const answers = Array.from({ length: count }, () => stream.ask("getMessage", { message_id: body.id }, 40_000));
    await quiet(() => asked);
    const asked_while_behind = asked;
    stream.ws.resume();
    assert.ok((await Promise.all(answers)).every((it) => it.output.content === content));
    assert.ok(asked_while_behind < count / 2, `${asked_while_behind} of ${count} were read`);
  });

  it("claims and does not read the answer gives the mail back by leaving", async () => {
    const released = Promise.withResolvers<number>();
    const claimed = Promise.withResolvers<void>();
    await using hive = await startHive({
      wrap: (mailroom) => ({
        ...mailroom,
        async claimMessages(input, call) {
          const output = await mailroom.claimMessages(input, call);
          setImmediate(claimed.resolve);
          return output;
        },
        async releaseLeases(leases, reason) {
          await mailroom.releaseLeases(leases, reason);
          released.resolve(leases.length);
        },
      }),
    });
    const messages = Array.from({ length: 70 }, () => ({ to_agent: "bob", content: "x".repeat(200_000) }));
    await hive.call("POST", "/messages/batch", { body: { messages } });
    const socket = await openSocket(hive.port);
    socket.pause();
    const body = '{"limit":70}';
    const head = "POST /agents/bob/inbox/claim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    socket.write(`${head}Authorization: Bearer ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await claimed.promise;
    socket.destroy();
    assert.equal(await released.promise, 70);
  });

  it("subscribes and does not read gets what was held back later, in order", async () => {
    const { hive, push } = await hiveWithPush();
    await using _hive = hive;
    await using stream = await openStream(hive.url);
    await stream.ask("subscribe", { agent_id: "bob", credit: 1_000 });
    stream.ws.pause();
    const deliveries = Array.from({ length: 200 }, (_, i) => aDelivery(`${i}`, 100_000));
    for (const delivery of deliveries) push([delivery]);
    stream.ws.resume();
    for (const { lease_id } of deliveries) assert.equal((await stream.next()).delivery.lease_id, lease_id);
  });

  it("subscribes and never reads is cut off before it fills the memory", async () => {
    const { hive, push } = await hiveWithPush();
    await using _hive = hive;
    await using stream = await openStream(hive.url);
    await stream.ask("subscribe", { agent_id: "bob", credit: 1_000 });
    stream.ws.pause();
    for (let i = 0; i < 60; i++) push([aDelivery(`${i}`, 1_000_000)]);
    stream.ws.resume();
    assert.ok([1006, 1013].includes((await stream.closed).code));
  });

  it("is silent is asked whether it is there, and cut off if it does not answer", async () => {
    await using hive = await startHive({ timing: { ping_ms: 40 } });
    await using deaf = await openStream(hive.url, { autoPong: false });
    await using awake = await openStream(hive.url);
    assert.equal((await deaf.closed).code, 1006);
    await once(awake.ws, "ping");
    await once(awake.ws, "ping");
    await once(awake.ws, "ping");
    assert.equal((await awake.ask("health")).ok, true);
  });
});

async function openSocket(port: number, text = ""): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  if (text !== "") socket.write(text);
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
  });
  await new Promise((resolve) => socket.once("close", resolve));
  return answer;
}

/** A WebSocket past its handshake, as a bare socket. */
async function openRawStream(port: number): Promise<Socket> {
  const socket = await openSocket(
    port,
    [
      "GET /stream HTTP/1.1",
      "Host: localhost",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Protocol: hivepost.v1",
      `Authorization: Bearer ${token}`,
      "\r\n",
    ].join("\r\n"),
  );
  await once(socket, "data");
  return socket;
}

async function hiveConnections(port: number): Promise<string | undefined> {
  const text = await rawRequest(port, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return text === "" ? undefined : text;
}

/** Resolves when a count has stopped growing. */
async function quiet(count: () => number): Promise<void> {
  let before = -1;
  while (count() !== before || before === 0) {
    before = count();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function hiveWithPush() {
  const subscribed: ((deliveries: readonly Delivery[]) => void)[] = [];
  const hive = await startHive({
    wrap: (mailroom) => ({
      ...mailroom,
      async subscribe(_input, push) {
        subscribed.push(push);
        return { addCredit: () => undefined, [Symbol.asyncDispose]: async () => undefined };
      },
    }),
  });
  return { hive, push: (deliveries: readonly Delivery[]) => subscribed[0]?.(deliveries) };
}

function aDelivery(lease_id: string, size: number): Delivery {
  const message = {
    id: messageId(),
    from_agent: "ada",
    to_agent: "bob",
    content: "x".repeat(size),
    priority: "normal",
    timestamp: "2026-01-05T09:00:00.000Z",
    acknowledged: false,
    conversation_id: messageId(),
    message_type: "task",
    metadata: {},
    when: "turn",
    offline: "hold",
    provenance: { actor: "ada", token: "agent", trust: "agent" },
  };
  return { message, agent_id: "bob", lease_id, lease_expires_at: message.timestamp, attempt: 1 } as unknown as Delivery;
}
