import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config } from "../../src/config.ts";
import { eventually } from "../support/eventually.ts";
import { ada, bob, messageId } from "../support/fixtures.ts";
import {
  acknowledge,
  claim,
  contents,
  eventsOf,
  nobody,
  type OpenHive,
  openScene,
  rejectsWith,
  send,
} from "./scene.ts";

const lease_lost = { acknowledged: false, reason: "lease_lost" } as const;

/** What the bus promises a recipient. */
export function deliveryContract(name: string, openHive: OpenHive): void {
  const open = (settings: Partial<Config> = {}) => openScene(openHive, settings);

  describe(`${name}: claiming`, () => {
    it("hands out by priority, then first in first out", async () => {
      await using hive = await open();
      for (const priority of ["low", "normal", "urgent", "high", "normal"] as const) {
        await send(hive.bus, { priority, content: priority });
      }
      assert.deepEqual(contents(await claim(hive.bus)), ["urgent", "high", "normal", "normal", "low"]);
    });

    it("lets what has waited long rise one rank where aging is on", async () => {
      await using hive = await open({ aging_ms: 10_000 });
      await send(hive.bus, { priority: "low", content: "old" });
      hive.clock.advance(10_001);
      await send(hive.bus, { priority: "normal", content: "new" });
      await send(hive.bus, { priority: "high", content: "pressing" });
      assert.deepEqual(contents(await claim(hive.bus)), ["pressing", "old", "new"]);
    });

    it("never hands one message to two claimers", async () => {
      await using hive = await open();
      for (let i = 0; i < 20; i++) await send(hive.bus, { content: `${i}` });
      const claims = await Promise.all(Array.from({ length: 10 }, () => claim(hive.bus, { limit: 3 })));
      const all = claims.flat().map((it) => it.message.id);
      assert.equal(new Set(all).size, all.length);
      assert.equal(all.length, 20);
    });

    it("waits for mail to come, no longer than asked", async () => {
      await using hive = await open();
      const waiting = claim(hive.bus, { wait_ms: 30_000 });
      await eventually("ada is seen to wait", async () =>
        (await hive.bus.listAgents({ health: "alive" })).agents.some((it) => it.agent_id === bob),
      );
      await send(hive.bus, { content: "at last" });
      assert.deepEqual(contents(await waiting), ["at last"]);
      assert.deepEqual(await claim(hive.bus, { wait_ms: 20 }), []);
    });

    it("takes only what is pressing enough, or may reach the agent at this moment", async () => {
      await using hive = await open();
      await send(hive.bus, { priority: "low", when: "interrupt", content: "a" });
      await send(hive.bus, { priority: "high", when: "digest", content: "b" });
      assert.deepEqual(contents(await claim(hive.bus, { min_priority: "high" })), ["b"]);
      await send(hive.bus, { when: "turn", content: "c" });
      assert.deepEqual(contents(await claim(hive.bus, { when: "tool" })), ["a"]);
      assert.deepEqual(contents(await claim(hive.bus, { when: "turn" })), ["c"]);
    });

    it("refuses more leases than an agent may hold", async () => {
      await using hive = await open({ open_leases_per_agent: 2 });
      for (let i = 0; i < 3; i++) await send(hive.bus);
      assert.equal((await claim(hive.bus)).length, 2);
      await rejectsWith(claim(hive.bus), "lease_limit", /2 leases/);
    });

    it("says that an inbox belongs to nobody", async () => {
      await using hive = await open();
      await rejectsWith(claim(hive.bus, { agent_id: nobody }), "agent_not_found", /nobody/);
    });
  });

  describe(`${name}: acknowledging`, () => {
    it("ends the delivery, and may be repeated with the same lease", async () => {
      await using hive = await open();
      const { id } = await send(hive.bus);
      const [delivery] = await claim(hive.bus);
      assert.ok(delivery);
      assert.deepEqual(await acknowledge(hive.bus, delivery), { acknowledged: true });
      assert.deepEqual(await acknowledge(hive.bus, delivery), { acknowledged: true });
      assert.equal((await hive.bus.getMessage({ message_id: id })).acknowledged, true);
      assert.deepEqual(await eventsOf(hive.bus, id), ["accepted", "leased", "acknowledged"]);
    });

    it("changes nothing when the lease has ended, though nobody else has the message yet", async () => {
      await using hive = await open();
      const { id } = await send(hive.bus);
      const [late] = await claim(hive.bus, { lease_ms: 1_000 });
      hive.clock.advance(1_001);
      assert.ok(late);
      assert.deepEqual(await acknowledge(hive.bus, late), lease_lost);
      assert.equal((await hive.bus.getMessage({ message_id: id })).acknowledged, false);
    });

    it("changes nothing when another holds the message by now", async () => {
      await using hive = await open({ backoff_base_ms: 0 });
      await send(hive.bus);
      const [late] = await claim(hive.bus, { lease_ms: 1_000 });
      hive.clock.advance(1_001);
      const [again] = await claim(hive.bus, { wait_ms: 5_000 });
      assert.ok(late && again);
      assert.equal(again.attempt, 2);
      assert.deepEqual(await acknowledge(hive.bus, late), lease_lost);
      assert.deepEqual(await acknowledge(hive.bus, again), { acknowledged: true });
    });

    it("answers for each of many", async () => {
      await using hive = await open();
      for (let i = 0; i < 2; i++) await send(hive.bus);
      const claimed = await claim(hive.bus);
      const acknowledgements = claimed.map((it) => ({ message_id: it.message.id, lease_id: it.lease_id }));
      const stranger = { message_id: messageId(), lease_id: acknowledgements[0]?.lease_id ?? ("" as never) };
      const { results } = await hive.bus.acknowledgeMessages({ acknowledgements: [...acknowledgements, stranger] });
      assert.deepEqual(
        results.map((it) => it.reason ?? it.acknowledged),
        [true, true, "message_not_found"],
      );
    });

    it("says that a message is unknown", async () => {
      await using hive = await open();
      await send(hive.bus);
      const [delivery] = await claim(hive.bus);
      assert.ok(delivery);
      const unknown = hive.bus.acknowledgeMessage({ message_id: messageId(), lease_id: delivery.lease_id });
      await rejectsWith(unknown, "message_not_found");
    });
  });

  describe(`${name}: giving back`, () => {
    it("tries again after the delay that was asked for", async () => {
      await using hive = await open();
      await send(hive.bus);
      const [delivery] = await claim(hive.bus);
      assert.ok(delivery);
      const lease = { message_id: delivery.message.id, lease_id: delivery.lease_id };
      const status = await hive.bus.rejectMessage({ ...lease, reason: "busy", delay_ms: 5_000 });
      assert.equal(status.state, "scheduled");
      assert.deepEqual(await claim(hive.bus), []);
      hive.clock.advance(5_000);
      const [again] = await claim(hive.bus, { wait_ms: 5_000 });
      assert.equal(again?.attempt, 2);
      assert.equal((await hive.bus.rejectMessage(lease)).reason, "lease_lost");
    });

    it("keeps priority and place in the queue", async () => {
      await using hive = await open();
      for (const content of ["1", "2"]) await send(hive.bus, { content });
      const [first] = await claim(hive.bus, { limit: 1 });
      assert.ok(first);
      await hive.bus.rejectMessage({ message_id: first.message.id, lease_id: first.lease_id, delay_ms: 0 });
      assert.deepEqual(contents(await claim(hive.bus)), ["1", "2"]);
    });

    it("gives up after the last attempt, keeps the letter, tells the sender, and redrives", async () => {
      await using hive = await open({ max_attempts: 2, backoff_base_ms: 0 });
      hive.clock.advance(1);
      const { id } = await send(hive.bus);
      for (let attempt = 1; attempt <= 2; attempt++) {
        const [delivery] = await claim(hive.bus, { wait_ms: 5_000 });
        assert.ok(delivery);
        await hive.bus.rejectMessage({ message_id: id, lease_id: delivery.lease_id, reason: "cannot parse" });
      }
      const { dead_letters } = await hive.bus.listDeadLetters({ agent_id: bob });
      assert.deepEqual(
        dead_letters.map(({ message, reason }) => [message.id, reason]),
        [[id, "attempts used up (2): cannot parse"]],
      );
      const [notice] = await claim(hive.bus, { agent_id: ada, wait_ms: 5_000 });
      assert.equal(notice?.message.from_agent, "hivepost");
      assert.equal(notice?.message.metadata["message_id"], id);
      assert.deepEqual(await hive.bus.redriveDeadLetters({ message_ids: [id] }), { redriven: 1, message_ids: [id] });
      const [again] = await claim(hive.bus);
      assert.equal(again?.attempt, 1);
    });

    it("extends a lease so that it outlives its first end", async () => {
      await using hive = await open();
      await send(hive.bus);
      const [delivery] = await claim(hive.bus, { lease_ms: 1_000 });
      assert.ok(delivery);
      const lease = { message_id: delivery.message.id, lease_id: delivery.lease_id };
      const extended = await hive.bus.extendLease({ ...lease, lease_ms: 10_000 });
      assert.equal(extended.state, "leased");
      hive.clock.advance(9_000);
      await hive.bus.recordEvidence({ ...lease, event: "seen" });
      assert.deepEqual(await acknowledge(hive.bus, delivery), { acknowledged: true });
      assert.deepEqual(await eventsOf(hive.bus, delivery.message.id), [
        "accepted",
        "leased",
        "lease_extended",
        "seen",
        "acknowledged",
      ]);
    });
  });

  describe(`${name}: time`, () => {
    it("holds a message back until deliver_at", async () => {
      await using hive = await open();
      await send(hive.bus, { deliver_at: new Date(hive.clock.now() + 60_000).toISOString() });
      assert.deepEqual(await claim(hive.bus), []);
      hive.clock.advance(60_000);
      assert.equal((await claim(hive.bus, { wait_ms: 5_000 })).length, 1);
    });

    it("gives up what nobody has taken before expires_at", async () => {
      await using hive = await open();
      const { id } = await send(hive.bus, { expires_at: new Date(hive.clock.now() + 1_000).toISOString() });
      hive.clock.advance(1_001);
      assert.deepEqual(await claim(hive.bus), []);
      const dead = await eventually("the message is dead", async () =>
        (await hive.bus.getMessage({ message_id: id })).deliveries.find((it) => it.state === "dead"),
      );
      assert.equal(dead.reason, "expired");
    });
  });
}
