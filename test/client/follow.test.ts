import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Client, connect } from "../../src/client/client.ts";
import type { BusEvent } from "../../src/contract/events.ts";
import { eventually } from "../support/eventually.ts";
import { failsWith } from "./fails-with.ts";
import { startHive, token } from "./hive.ts";
import { startStandIn } from "./stand-in.ts";
import { startWire } from "./wire.ts";

const register = async (client: Client, names: readonly string[]) => {
  for (const agent_id of names) await client.registerAgent({ agent_id });
};
const agents = (events: readonly BusEvent[]) => events.map((it) => it.agent_id);

describe("a follower", () => {
  it("hears of what happens from now on, in order", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    await register(client, ["early"]);
    const events: BusEvent[] = [];

    await using _ = await client.follow({}, (event) => void events.push(event));
    await register(client, ["ada", "bob"]);

    await eventually("both were heard of", () => events.length === 2);
    assert.deepEqual(agents(events), ["ada", "bob"]);
  });

  it("goes on after a cursor, also of an earlier run", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const first: BusEvent[] = [];
    const follower = await client.follow({}, (event) => void first.push(event));
    await register(client, ["ada"]);
    await eventually("ada was heard of", () => follower.cursor !== undefined);
    await follower[Symbol.asyncDispose]();
    await register(client, ["bob"]);
    const second: BusEvent[] = [];

    await using _ = await client.follow({ after: follower.cursor }, (event) => void second.push(event));

    await eventually("bob was heard of", () => second.length === 1);
    assert.deepEqual(agents(second), ["bob"]);
    assert.equal(await follower.ended, undefined);
  });

  it("misses nothing and hears nothing twice over lost connections", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    await using outside = connect(hive.url, { token });
    await using client = connect(wire.url, { token, reconnect_max_ms: 10 });
    const events: BusEvent[] = [];
    await using _ = await client.follow({}, async (event) => {
      await new Promise((resolve) => setImmediate(resolve));
      events.push(event);
    });
    const names = Array.from({ length: 60 }, (_it, n) => `agent-${n}`);

    await register(outside, names.slice(0, 1));
    await eventually("the first was heard of", () => events.length === 1);
    for (const [n, name] of names.slice(1).entries()) {
      await register(outside, [name]);
      if (n % 10 === 5) wire.cut();
    }

    await eventually("all were heard of", () => events.length >= names.length);
    assert.deepEqual(agents(events), names);
  });

  it("misses nothing either when the connection is lost before the first event", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    await using outside = connect(hive.url, { token });
    await using client = connect(wire.url, { token, reconnect_max_ms: 10 });
    const events: BusEvent[] = [];
    await using _ = await client.follow({}, (event) => void events.push(event));

    wire.cut();
    await register(outside, ["ada"]);

    await eventually("ada was heard of", () => events.length === 1);
    assert.deepEqual(agents(events), ["ada"]);
  });

  it("ends with what its handler throws", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });

    const follower = await client.follow({}, () => {
      throw new Error("cannot write this down");
    });
    await register(client, ["ada"]);

    assert.match(String(await follower.ended), /cannot write this down/);
    assert.equal(follower.cursor, undefined);
  });

  it("is refused a cursor that is none", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });

    await assert.rejects(
      client.follow({ after: "nonsense" }, () => undefined),
      failsWith("invalid_cursor", /./),
    );
  });

  it("ends when the server has forgotten what comes next, and goes on when it was only busy", async () => {
    const followed: unknown[] = [];
    await using server = await startStandIn((frame, reply) => {
      followed.push(frame.input);
      if (followed.length === 2) {
        return reply({ ok: false, error: { code: "unavailable", message: "still busy", retry_after_ms: 5 } });
      }
      reply({ ok: true, output: { cursor: "start" } });
      const error =
        followed.length === 1 ? { code: "unavailable", message: "busy" } : { code: "cursor_expired", message: "gone" };
      setTimeout(() => reply({ ok: false, error }), 10);
    });
    await using client = connect(server.url, { token });

    const follower = await client.follow({}, () => undefined);

    assert.equal(((await follower.ended) as { code?: string }).code, "cursor_expired");
    assert.deepEqual(followed, [{}, { after: "start" }, { after: "start" }]);
  });

  it("slows the server down when its handler is slow, and loses nothing", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const count = 3_000;
    const gate = Promise.withResolvers<void>();
    let seen = 0;
    await using _ = await client.follow({}, async () => {
      await gate.promise;
      seen += 1;
    });

    await Promise.all(Array.from({ length: count }, (_it, n) => client.registerAgent({ agent_id: `agent-${n}` })));
    gate.resolve();

    await eventually("all were heard of", () => seen === count, 30_000);
  });

  it("ends with its client", async () => {
    await using hive = await startHive();
    const client = connect(hive.url, { token });
    const follower = await client.follow({}, () => undefined);

    await client[Symbol.asyncDispose]();

    assert.equal(await follower.ended, undefined);
  });
});
