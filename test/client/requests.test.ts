import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "../../src/client/client.ts";
import { limits } from "../../src/contract/limits.ts";
import { messageId } from "../support/fixtures.ts";
import { failsWith } from "./fails-with.ts";
import { freePort } from "./free-port.ts";
import { startHive, token } from "./hive.ts";
import { startStandIn } from "./stand-in.ts";
import { startWire } from "./wire.ts";

describe("a request", () => {
  it("fails at the first failed attempt where it may not wait", async () => {
    await using client = connect(`http://127.0.0.1:${await freePort()}`, { token, connect_timeout_ms: 0 });
    const started_ms = performance.now();

    await assert.rejects(client.health({}), failsWith("unreachable", /ECONNREFUSED/));

    assert.ok(performance.now() - started_ms < 2_000);
  });

  it("fails when the server does not answer in time, and says that it may be done", async () => {
    await using server = await startStandIn(() => undefined);
    await using client = connect(server.url, { token });

    await assert.rejects(
      client.removeAgent({ agent_id: "ada" }, { timeout_ms: 100 }),
      failsWith("unavailable", /removeAgent within 100 ms; it may or may not be done/),
    );
  });

  it("may take as long as its own wait_ms besides", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token, request_timeout_ms: 150 });
    await client.registerAgent({ agent_id: "ada" });

    assert.deepEqual(await client.claimMessages({ agent_id: "ada", wait_ms: 400 }), { deliveries: [] });
  });

  it("ends when its signal is aborted, with the signal's reason", async () => {
    await using server = await startStandIn(() => undefined);
    await using client = connect(server.url, { token });
    const abort = new AbortController();

    const answer = client.health({}, { signal: abort.signal });
    abort.abort(new Error("changed my mind"));

    await assert.rejects(answer, /changed my mind/);
    await assert.rejects(client.health({}, { signal: abort.signal }), /changed my mind/);
  });

  it("gives back what an aborted claim is answered with too late", async () => {
    const rejected = Promise.withResolvers<unknown>();
    const message = { id: messageId(), content: "hello" };
    await using server = await startStandIn((frame, reply) => {
      if (frame.op === "rejectMessage") rejected.resolve(frame.input);
      if (frame.op === "claimMessages") {
        abort.abort(new Error("gone"));
        setImmediate(() => reply({ ok: true, output: { deliveries: [{ message, lease_id: "lease-1" }] } }));
      }
    });
    const abort = new AbortController();
    await using client = connect(server.url, { token });

    await assert.rejects(client.claimMessages({ agent_id: "ada" }, { signal: abort.signal }), /gone/);

    assert.deepEqual(await rejected.promise, {
      message_id: message.id,
      lease_id: "lease-1",
      reason: "nobody waited for this claim any more",
      delay_ms: 0,
    });
  });

  it("that would not be the same when done twice fails when the connection is lost before its answer", async () => {
    await using server = await startStandIn((_, __, socket) => socket.terminate());
    await using client = connect(server.url, { token });

    await assert.rejects(
      client.createConversation({ participants: ["ada", "bob"] }),
      failsWith("unreachable", /before createConversation was answered.*may or may not be done/),
    );
  });

  it("sends a message again under the id it had, so that it is one message", async () => {
    const ids: unknown[] = [];
    await using server = await startStandIn((frame, reply, socket) => {
      ids.push((frame.input as { id?: string }).id);
      if (ids.length === 1) socket.terminate();
      else reply({ ok: true, output: {} });
    });
    await using client = connect(server.url, { token, reconnect_max_ms: 10 });

    await client.sendMessage({ to_agent: "ada", content: "once" });

    assert.equal(ids.length, 2);
    assert.equal(ids[0], ids[1]);
    assert.match(String(ids[0]), /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  it("names every message of a batch, but none that has an idempotency key", async () => {
    const inputs: unknown[] = [];
    await using server = await startStandIn((frame, reply) => {
      inputs.push(frame.input);
      reply({ ok: true, output: {} });
    });
    await using client = connect(server.url, { token });
    const mine = messageId();

    await client.sendMessages({
      messages: [
        { to_agent: "ada", content: "1" },
        { to_agent: "ada", content: "2", id: mine },
        { to_agent: "ada", content: "3", idempotency_key: "k" },
      ],
    });

    const [{ messages }] = inputs as [{ messages: { id?: string }[] }];
    assert.match(String(messages[0]?.id), /-7/);
    assert.equal(messages[1]?.id, mine);
    assert.equal(messages[2]?.id, undefined);
  });

  it("too large for the server fails, and the others go on", async () => {
    await using server = await startStandIn((frame, reply, socket) => {
      if (JSON.stringify(frame).length > 1_000) socket.close(1009);
      else reply({ ok: true, output: { status: "ok" } });
    });
    await using client = connect(server.url, { token, reconnect_max_ms: 10 });

    const large = client.sendMessage({ to_agent: "ada", content: "x".repeat(2_000) });
    const small = client.health({});

    await assert.rejects(large, failsWith("body_too_large", /sendMessage: .* send less/));
    assert.equal((await small).status, "ok");
  });

  it("larger than a real server takes fails as well", async () => {
    await using hive = await startHive({ body_bytes: 2_048, batch_body_bytes: 2_048 });
    await using client = connect(hive.url, { token });
    await client.registerAgent({ agent_id: "ada" });

    await assert.rejects(
      client.sendMessage({ to_agent: "ada", content: "x".repeat(5_000) }),
      failsWith("body_too_large", /./),
    );
    assert.equal((await client.health({})).status, "ok");
  });

  it("is refused here when too many wait already", async () => {
    const client = connect(`http://127.0.0.1:${await freePort()}`, { token, connect_timeout_ms: 60_000 });
    const waiting = Array.from({ length: 100_000 }, () => client.health({}).catch((error: unknown) => error));

    await assert.rejects(client.health({}), failsWith("unavailable", /100000 requests wait/));

    await client[Symbol.asyncDispose]();
    await Promise.all(waiting);
  });

  it("keeps its place in the order when it is sent again", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    await using client = connect(wire.url, { token, reconnect_max_ms: 10 });
    await client.registerAgent({ agent_id: "ada" });

    const sent: Promise<unknown>[] = [];
    for (let n = 0; n < 60; n++) {
      sent.push(client.sendMessage({ from_agent: "bob", to_agent: "ada", content: String(n) }));
      if (n % 20 === 10) {
        await sent[n - 5];
        wire.cut();
      }
    }
    await Promise.all(sent);

    const { deliveries } = await client.claimMessages({ agent_id: "ada", limit: limits.claim });
    assert.deepEqual(
      deliveries.map((it) => it.message.content),
      Array.from({ length: 60 }, (_, n) => String(n)),
    );
  });
});
