import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "../../src/client/client.ts";
import { failsWith } from "./fails-with.ts";
import { limitedToken, operatorCall, startHive, token } from "./hive.ts";
import { startStandIn } from "./stand-in.ts";

const refusal = { ok: false, error: { code: "rate_limited", message: "too much", retry_after_ms: 40 } };
const health = { ok: true, output: { status: "ok" } };

describe("a client that asks too much", () => {
  it("gets everything done all the same, once, as fast as it may", async () => {
    await using hive = await startHive({ sends_per_second: 100, sends_burst: 20 });
    await hive.mailroom.registerAgent({ agent_id: "bob" as never }, operatorCall);
    await hive.mailroom.registerAgent({ agent_id: "ada" as never }, operatorCall);
    await using client = connect(hive.url, { token: limitedToken });
    const started_ms = performance.now();
    const contents = Array.from({ length: 60 }, (_, i) => `message ${i}`);

    await Promise.all(contents.map((content) => client.sendMessage({ from_agent: "ada", to_agent: "bob", content })));

    assert.ok(performance.now() - started_ms >= 400, "40 more than the burst take 400 ms");
    const { messages } = await hive.mailroom.searchMessages({ participant: "bob" as never, limit: 100 }, operatorCall);
    assert.deepEqual(messages.map((it) => it.content).sort(), contents.sort());
  });

  it("waits as long as the server says before it asks again", async () => {
    const asked_ms: number[] = [];
    await using server = await startStandIn((_, reply) => {
      asked_ms.push(performance.now());
      reply(asked_ms.length < 3 ? refusal : health);
    });
    await using client = connect(server.url, { token });

    assert.deepEqual(await client.health({}), { status: "ok" });

    const [first = 0, second = 0, third = 0] = asked_ms;
    assert.ok(second - first >= 39 && third - second >= 39, asked_ms.join(" "));
  });

  it("asks again also for what is not repeated after a lost connection, since nothing was done", async () => {
    let asked = 0;
    await using server = await startStandIn((_, reply) => {
      asked += 1;
      reply(asked === 1 ? refusal : { ok: true, output: { removed: true, dead: 0 } });
    });
    await using client = connect(server.url, { token });

    assert.deepEqual(await client.removeAgent({ agent_id: "ada" }), { removed: true, dead: 0 });
  });

  it("is told so when there is no time left to ask again", async () => {
    await using server = await startStandIn((_, reply) => reply(refusal));
    await using client = connect(server.url, { token });

    await assert.rejects(client.health({}, { timeout_ms: 30 }), failsWith("rate_limited", /too much/));
  });

  it("does not ask again when nobody waits for the answer any more, and asks a new connection once", async () => {
    let asked = 0;
    const refused = Promise.withResolvers<void>();
    await using server = await startStandIn((frame, reply, socket) => {
      asked += 1;
      if (frame.op === "health" && asked > 2) return reply(health);
      reply(refusal);
      if (asked === 2) socket.terminate();
      else refused.resolve();
    });
    await using client = connect(server.url, { token });
    const abort = new AbortController();
    const given_up = client.getAgent({ agent_id: "ada" }, { signal: abort.signal });
    await refused.promise;
    abort.abort(new Error("changed my mind"));
    await assert.rejects(given_up, /changed my mind/);

    assert.deepEqual(await client.health({}), { status: "ok" });

    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(asked, 3);
  });
});
