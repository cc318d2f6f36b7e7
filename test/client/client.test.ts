import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { connect as connectFromBrowser } from "../../src/client/browser.ts";
import { connect } from "../../src/client/client.ts";
import { createConnection } from "../../src/client/connection.ts";
import { nodeSockets } from "../../src/client/socket-node.ts";
import { eventually } from "../support/eventually.ts";
import { clockAt } from "../support/fixtures.ts";
import { failsWith } from "./fails-with.ts";
import { freePort } from "./free-port.ts";
import { operatorCall, startHive, token } from "./hive.ts";
import { startStandIn } from "./stand-in.ts";
import { startWire } from "./wire.ts";

for (const [platform, connectFrom] of [
  ["Node", connect],
  ["a browser", connectFromBrowser],
] as const) {
  describe(`a client in ${platform}`, () => {
    it("does what the bus does", async () => {
      await using hive = await startHive();
      await using client = connectFrom(hive.url, { token });
      await client.registerAgent({ agent_id: "ada" });

      const sent = await client.sendMessage({ from_agent: "bob", to_agent: "ada", content: "Is it green?" });
      const { deliveries } = await client.claimMessages({ agent_id: "ada" });

      assert.deepEqual(
        deliveries.map((it) => it.message),
        [sent],
      );
    });

    it("answers many requests at once, each with its own answer", async () => {
      await using hive = await startHive();
      await using client = connectFrom(hive.url, { token });
      const names = Array.from({ length: 200 }, (_, n) => `agent-${n}`);

      const agents = await Promise.all(names.map((agent_id) => client.registerAgent({ agent_id })));

      assert.deepEqual(
        agents.map((it) => it.agent_id),
        names,
      );
    });

    it("turns a server's error into a BusError with its code and words", async () => {
      await using hive = await startHive();
      await using client = connectFrom(hive.url, { token });

      await assert.rejects(client.getAgent({ agent_id: "nobody" }), failsWith("agent_not_found", /nobody/));
    });

    it("says that the token is wrong, at once", async () => {
      await using hive = await startHive();
      await using client = connectFrom(hive.url, { token: "hvp_wrong" });

      await assert.rejects(client.listAgents({}), failsWith("unauthenticated", /token/));
    });

    it("connects again after its connection was cut, and sends again what was not answered", async () => {
      await using hive = await startHive();
      await using wire = await startWire(hive.port);
      await using client = connectFrom(wire.url, { token, reconnect_max_ms: 20 });
      await client.registerAgent({ agent_id: "ada" });

      const waiting = client.claimMessages({ agent_id: "ada", wait_ms: 20_000 });
      await hiveHears(hive);
      wire.cut();
      await client.sendMessage({ to_agent: "ada", content: "after the cut" });

      assert.equal((await waiting).deliveries[0]?.message.content, "after the cut");
      assert.equal(wire.connections, connectFrom === connect ? 2 : 4, "in a browser, each has one for its ticket");
    });

    it("says which server it cannot reach and how to start one", async () => {
      const url = `http://127.0.0.1:${await freePort()}`;
      await using client = connectFrom(url, { token, connect_timeout_ms: 200 });

      await assert.rejects(client.health({}), failsWith("unreachable", new RegExp(`${url}.*hivepost serve`)));
    });

    it("waits for a server that is about to start", async () => {
      await using hive = await startHive();
      await hive.stop();
      await using client = connectFrom(hive.url, { token, reconnect_max_ms: 20 });

      const answer = client.health({});
      await hive.start();

      assert.equal((await answer).status, "ok");
    });

    it("fails what waits when it is closed", async () => {
      await using hive = await startHive();
      const client = connectFrom(hive.url, { token });
      await client.registerAgent({ agent_id: "ada" });

      const waiting = assert.rejects(
        client.claimMessages({ agent_id: "ada", wait_ms: 20_000 }),
        failsWith("unreachable", /closed/),
      );
      await client[Symbol.asyncDispose]();

      await waiting;
      await assert.rejects(client.health({}), failsWith("unreachable", /closed/));
    });
  });
}

describe("a connection", () => {
  it("whose other side has gone without a word is given up and made again", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    const clock = clockAt();
    const connection = createConnection(
      {
        url: wire.url,
        token,
        connect_timeout_ms: 100_000,
        request_timeout_ms: 100_000,
        reconnect_max_ms: 10,
        openSocket: nodeSockets(),
        clock,
        random: Math.random,
      },
      { pushed: () => undefined, lost: () => undefined },
    );
    await connection.request("health", {}, { resend: true });

    wire.freeze();
    const asked = connection.request("health", {}, { resend: true });
    clock.advance(31_000);

    assert.equal(((await asked) as { status: string }).status, "ok");
    assert.equal(wire.connections, 2);
    connection.close();
  });

  it("that is silent is asked for a sign of life, once", async () => {
    const asked: string[] = [];
    await using server = await startStandIn((frame, reply) => {
      asked.push(frame.op);
      reply({ ok: true, output: {} });
    });
    const clock = clockAt();
    const options = { url: server.url, token, reconnect_max_ms: 10, openSocket: nodeSockets(), clock };
    const connection = createConnection(
      { ...options, connect_timeout_ms: 1_000, request_timeout_ms: 1_000, random: Math.random },
      { pushed: () => undefined, lost: () => undefined },
    );
    await connection.request("listAgents", {}, { resend: true });

    clock.advance(16_000);

    await eventually("it was asked", () => asked.length === 2);
    assert.deepEqual(asked, ["listAgents", "health"]);
    connection.close();
  });

  it("is not made to what is no Hivepost server", async () => {
    await using other = await startWebServer(404);
    await using client = connect(other.url, { token });

    await assert.rejects(client.health({}), failsWith("unreachable", /is no Hivepost server: it answered 404/));
  });

  it("is tried again with a server that is busy", async () => {
    await using other = await startWebServer(503);
    await using client = connect(other.url, { token, connect_timeout_ms: 400, reconnect_max_ms: 20 });

    await assert.rejects(client.health({}), failsWith("unreachable", /503/));
    assert.ok(other.requests() > 2);
  });

  it("is tried with growing pauses", async () => {
    await using other = await startWebServer(503);
    await using client = connect(other.url, { token, connect_timeout_ms: 1_000 });

    await assert.rejects(client.health({}), failsWith("unreachable", /503/));
    assert.ok(other.requests() < 30, `${other.requests()} attempts in a second`);
  });
});

async function hiveHears({ mailroom }: { mailroom: Awaited<ReturnType<typeof startHive>>["mailroom"] }): Promise<void> {
  await eventually("ada was heard of by a claim", async () => {
    const { last_seen_at } = await mailroom.getAgent({ agent_id: "ada" as never }, operatorCall);
    return last_seen_at !== undefined;
  });
}

async function startWebServer(status: number) {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    response.writeHead(status).end("nothing to see here");
  });
  server.on("upgrade", (_, socket) => {
    requests += 1;
    socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
