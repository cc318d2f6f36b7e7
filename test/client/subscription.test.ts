import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "../../src/client/client.ts";
import type { AgentId, Delivery } from "../../src/contract/messages.ts";
import { eventually } from "../support/eventually.ts";
import { failsWith } from "./fails-with.ts";
import { type Hive, operatorCall, startHive, token } from "./hive.ts";
import { startStandIn } from "./stand-in.ts";
import { startWire } from "./wire.ts";

const ada = "ada" as AgentId;

/** Sends `count` messages to ada past the network: "0", "1", … */
async function mailFor({ mailroom }: Hive, count: number, from = 0): Promise<void> {
  for (let n = from; n < from + count; n++) {
    await mailroom.sendMessage({ from_agent: "bob" as AgentId, to_agent: ada, content: String(n) }, operatorCall);
  }
}

const register = ({ mailroom }: Hive, aliases: AgentId[] = []) =>
  mailroom.registerAgent({ agent_id: ada, aliases }, operatorCall);

const contents = (deliveries: readonly Delivery[]) => deliveries.map((it) => it.message.content);

describe("a subscription", () => {
  it("pushes mail as it comes, up to its credit, and more when some was acknowledged", async () => {
    await using hive = await startHive();
    await register(hive);
    await mailFor(hive, 3);
    await using client = connect(hive.url, { token });
    const seen: Delivery[] = [];

    await using subscription = await client.subscribe({ agent_id: ada, credit: 2 }, (it) => void seen.push(it));
    await eventually("two came", () => seen.length === 2);
    const [first] = seen;
    assert.ok(first);
    await client.acknowledgeMessage({ message_id: first.message.id, lease_id: first.lease_id });
    await eventually("the third came", () => seen.length === 3);
    await mailFor(hive, 1, 3);
    await subscription.addCredit(1);
    await eventually("the fourth came", () => seen.length === 4);

    assert.deepEqual(contents(seen), ["0", "1", "2", "3"]);
  });

  it("gives its leases back at once when it is disposed, and then is quiet", async () => {
    await using hive = await startHive();
    await register(hive);
    await mailFor(hive, 2);
    await using client = connect(hive.url, { token });
    const seen: Delivery[] = [];
    const subscription = await client.subscribe({ agent_id: ada, credit: 2 }, (it) => void seen.push(it));
    await eventually("both came", () => seen.length === 2);

    await subscription[Symbol.asyncDispose]();

    assert.equal(await subscription.ended, undefined);
    const { deliveries } = await client.claimMessages({ agent_id: ada, limit: 10, wait_ms: 5_000 });
    assert.deepEqual(contents(deliveries), ["0", "1"]);
    assert.equal(seen.length, 2);
  });

  it("finds an agent by its alias", async () => {
    await using hive = await startHive();
    await register(hive, ["countess" as AgentId]);
    await mailFor(hive, 1);
    await using client = connect(hive.url, { token });
    const seen: Delivery[] = [];

    await using _ = await client.subscribe({ agent_id: "countess" }, (it) => void seen.push(it));

    await eventually("it came", () => seen.length === 1);
  });

  it("is refused for an agent that is not there", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });

    await assert.rejects(
      client.subscribe({ agent_id: "nobody" }, () => assert.fail()),
      failsWith("agent_not_found", /nobody/),
    );
  });

  it("is refused a second time for the same agent, and possible again after the first has ended", async () => {
    await using hive = await startHive();
    await register(hive);
    await using client = connect(hive.url, { token });
    const first = await client.subscribe({ agent_id: ada }, () => undefined);

    await assert.rejects(
      client.subscribe({ agent_id: ada }, () => assert.fail()),
      failsWith("invalid_input", /already/),
    );

    await first[Symbol.asyncDispose]();
    await using _ = await client.subscribe({ agent_id: ada }, () => undefined);
  });

  it("goes on after the connection was cut, with all its credit", async () => {
    await using hive = await startHive();
    await register(hive);
    await using wire = await startWire(hive.port);
    await using client = connect(wire.url, { token, reconnect_max_ms: 10 });
    const seen: Delivery[] = [];
    await using subscription = await client.subscribe({ agent_id: ada, credit: 1 }, (it) => void seen.push(it));
    await subscription.addCredit(2);

    wire.cut();
    await mailFor(hive, 3);

    await eventually("all came", () => new Set(contents(seen)).size === 3);
  });

  it("goes on after the server was started anew", async () => {
    await using hive = await startHive();
    await register(hive);
    await using client = connect(hive.url, { token, reconnect_max_ms: 10, connect_timeout_ms: 50 });
    const seen: Delivery[] = [];
    await using _ = await client.subscribe({ agent_id: ada }, (it) => void seen.push(it));

    await hive.stop();
    await mailFor(hive, 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await hive.start();

    await eventually("it came", () => seen.length === 1);
  });

  it("ends with the reason when the server will not have it any more", async () => {
    await using hive = await startHive();
    await register(hive);
    await using wire = await startWire(hive.port);
    await using client = connect(wire.url, { token, reconnect_max_ms: 10 });
    const subscription = await client.subscribe({ agent_id: ada }, () => undefined);

    await hive.mailroom.removeAgent({ agent_id: ada }, operatorCall);
    wire.cut();

    assert.equal((await subscription.ended)?.code, "agent_not_found");
  });

  it("asks again, after a pause, a server that cannot just now", async () => {
    let subscribed = 0;
    await using server = await startStandIn((frame, reply, socket) => {
      if (frame.op === "getAgent") return reply({ ok: true, output: { agent_id: ada } });
      subscribed += 1;
      if (subscribed === 2) {
        return reply({ ok: false, error: { code: "unavailable", message: "busy", retry_after_ms: 20 } });
      }
      reply({ ok: true, output: {} });
      if (subscribed === 1) setTimeout(() => socket.terminate(), 20);
    });
    await using client = connect(server.url, { token, reconnect_max_ms: 10 });

    await using _ = await client.subscribe({ agent_id: ada }, () => undefined);

    await eventually("it was asked a third time", () => subscribed === 3);
  });

  it("that was refused may be tried again", async () => {
    let refused = 0;
    await using server = await startStandIn((frame, reply) => {
      if (frame.op === "getAgent") reply({ ok: true, output: { agent_id: ada } });
      else if (frame.op === "subscribe" && refused++ === 0) {
        reply({ ok: false, error: { code: "lease_limit", message: "ada holds too many" } });
      } else reply({ ok: true, output: {} });
    });
    await using client = connect(server.url, { token });

    await assert.rejects(
      client.subscribe({ agent_id: ada }, () => undefined),
      failsWith("lease_limit", /too many/),
    );
    await using _ = await client.subscribe({ agent_id: ada }, () => undefined);
  });

  it("that the server cannot end says so, unless the connection is lost, which ends it as well", async () => {
    const answers: ((reply: (answer: object) => void, end: () => void) => void)[] = [
      (reply) => reply({ ok: false, error: { code: "invalid_input", message: "not subscribed" } }),
      (_, end) => end(),
    ];
    await using server = await startStandIn((frame, reply, socket) => {
      if (frame.op === "unsubscribe") answers.shift()?.(reply, () => socket.terminate());
      else reply({ ok: true, output: { agent_id: ada } });
    });
    await using client = connect(server.url, { token });

    const first = await client.subscribe({ agent_id: ada }, () => undefined);
    await assert.rejects(async () => first[Symbol.asyncDispose](), failsWith("invalid_input", /not subscribed/));
    await using other = connect(server.url, { token });
    const second = await other.subscribe({ agent_id: ada }, () => undefined);
    await second[Symbol.asyncDispose]();

    assert.equal(await second.ended, undefined);
  });

  it("that is disposed while the server is away is not made again", async () => {
    await using hive = await startHive();
    await register(hive);
    await using client = connect(hive.url, { token, reconnect_max_ms: 10 });
    const subscription = await client.subscribe({ agent_id: ada }, () => assert.fail("nothing should come any more"));

    await hive.stop();
    await subscription[Symbol.asyncDispose]();
    await hive.start();
    await mailFor(hive, 1);

    const { deliveries } = await client.claimMessages({ agent_id: ada });
    assert.equal(deliveries.length, 1);
  });

  it("ends with its client", async () => {
    await using hive = await startHive();
    await register(hive);
    const client = connect(hive.url, { token });
    const subscription = await client.subscribe({ agent_id: ada }, () => undefined);

    await client[Symbol.asyncDispose]();

    assert.equal(await subscription.ended, undefined);
    await subscription[Symbol.asyncDispose]();
  });
});
