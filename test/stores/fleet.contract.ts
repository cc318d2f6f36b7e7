import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../src/base/time.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import { ada, bob, cleo, monday_ms } from "../support/fixtures.ts";
import { type OpenStore, openFor } from "./opened.ts";

const reviewer = "reviewer" as AgentId;

/** Who is known, under which names, and how the store is doing. */
export function fleetContract(open: OpenStore): void {
  describe("putAgent", () => {
    it("registers with what was said and plain defaults for the rest", async () => {
      await using opened = await openFor(open);
      opened.clock.advance(5);
      const agent = {
        agent_id: ada,
        capabilities: [],
        groups: [],
        aliases: [],
        metadata: {},
        registered_at: toTimestamp(monday_ms + 5),
        status: "available",
        last_seen_ms: 5,
      };
      assert.deepEqual(await opened.store.fleet.putAgent({ agent_id: ada }, "operator"), {
        outcome: "registered",
        agent,
      });
      assert.deepEqual(await opened.store.fleet.agent(ada), agent);
    });

    it("keeps all that was said", async () => {
      await using opened = await openFor(open);
      const said = {
        agent_id: ada,
        capabilities: [{ name: "review", level: 3 }, { name: "rust" }],
        groups: ["crew", "night"],
        max_concurrency: 4,
        location: { tmux: "dev:1", pid: 99 },
        aliases: [reviewer],
        program: "coder",
        metadata: { team: { size: 2 } },
      };
      await opened.store.fleet.putAgent(said, ada);
      assert.deepEqual(await opened.store.fleet.agent(ada), {
        ...said,
        registered_at: toTimestamp(monday_ms),
        status: "available",
        last_seen_ms: 0,
      });
    });

    it("replaces all but the time of the first registration", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: ada, groups: ["crew"], aliases: [reviewer], program: "coder" }, ada);
      await fleet.touchAgent({ agent_id: ada, status: "busy", load: 1, current_task: "tests" });
      opened.clock.advance(1_000);
      await fleet.putAgent({ agent_id: ada, capabilities: [{ name: "rust" }] }, ada);
      assert.deepEqual(await fleet.agent(ada), {
        agent_id: ada,
        capabilities: [{ name: "rust" }],
        groups: [],
        aliases: [],
        metadata: {},
        registered_at: toTimestamp(monday_ms),
        status: "available",
        last_seen_ms: 1_000,
      });
      assert.equal(await fleet.agent(reviewer), undefined);
    });

    it("refuses an alias that is another agent's id or alias, and an id that is another's alias", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: ada, aliases: [reviewer] }, ada);
      const head = await opened.store.events.head();
      const taken = (alias: AgentId) => ({ outcome: "alias_taken", alias, by: ada });
      assert.deepEqual(await fleet.putAgent({ agent_id: bob, aliases: [cleo, ada] }, bob), taken(ada));
      assert.deepEqual(await fleet.putAgent({ agent_id: bob, aliases: [reviewer] }, bob), taken(reviewer));
      assert.deepEqual(await fleet.putAgent({ agent_id: reviewer, aliases: [ada] }, bob), taken(reviewer));
      assert.deepEqual(await fleet.agents({}), [await fleet.agent(ada)]);
      assert.equal(await opened.store.events.head(), head);
    });

    it("lets an agent keep its own aliases, and names none twice", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: ada, aliases: [reviewer] }, ada);
      await fleet.putAgent({ agent_id: ada, aliases: [reviewer, ada, cleo, reviewer] }, ada);
      assert.deepEqual((await fleet.agent(cleo))?.aliases, [reviewer, cleo]);
    });

    it("gives an alias away once its owner no longer claims it", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: ada, aliases: [reviewer] }, ada);
      await fleet.putAgent({ agent_id: ada }, ada);
      await fleet.putAgent({ agent_id: bob, aliases: [reviewer] }, bob);
      assert.equal((await fleet.agent(reviewer))?.agent_id, bob);
    });

    it("gives a name that several ask for at once to the first of them, as if they had come one by one", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      const outcomes = await Promise.all([
        fleet.putAgent({ agent_id: ada, aliases: [reviewer] }, ada),
        fleet.putAgent({ agent_id: bob, aliases: [reviewer] }, bob),
        fleet.putAgent({ agent_id: reviewer }, reviewer),
        fleet.putAgent({ agent_id: cleo }, cleo),
        fleet.putAgent({ agent_id: ada }, ada),
        fleet.putAgent({ agent_id: bob, aliases: [reviewer] }, bob),
      ]);
      assert.deepEqual(
        outcomes.map((it) => it.outcome),
        ["registered", "alias_taken", "alias_taken", "registered", "registered", "registered"],
      );
      assert.equal((await fleet.agent(reviewer))?.agent_id, bob);
    });
  });

  describe("agents", () => {
    it("are found by id or alias", async () => {
      await using opened = await openFor(open);
      await opened.store.fleet.putAgent({ agent_id: ada, aliases: [reviewer] }, ada);
      assert.equal((await opened.store.fleet.agent(reviewer))?.agent_id, ada);
      assert.equal(await opened.store.fleet.agent(bob), undefined);
    });

    it("are listed by id, all or those with a capability or of a group", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: cleo, capabilities: [{ name: "rust" }], groups: ["crew"] }, cleo);
      await fleet.putAgent({ agent_id: ada, capabilities: [{ name: "rust" }, { name: "go" }] }, ada);
      await fleet.putAgent({ agent_id: "Zed" as AgentId, groups: ["crew"] }, "operator");
      const list = async (filter: { capability?: string; group?: string }) =>
        (await fleet.agents(filter)).map((it) => it.agent_id);
      assert.deepEqual(await list({}), ["Zed", ada, cleo]);
      assert.deepEqual(await list({ capability: "rust" }), [ada, cleo]);
      assert.deepEqual(await list({ capability: "Rust" }), []);
      assert.deepEqual(await list({ group: "crew" }), ["Zed", cleo]);
      assert.deepEqual(await list({ group: "crew", capability: "rust" }), [cleo]);
    });

    it("say how they are doing, and keep what they do not mention", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: ada }, ada);
      const head = await opened.store.events.head();
      opened.clock.advance(1_000);
      opened.clock.setWall(monday_ms - 1);
      await fleet.touchAgent({ agent_id: ada, status: "busy", load: 0.5, current_task: "tests" });
      const agent = await fleet.touchAgent({ agent_id: ada, load: 1 });
      assert.deepEqual(agent, {
        agent_id: ada,
        capabilities: [],
        groups: [],
        aliases: [],
        metadata: {},
        registered_at: toTimestamp(monday_ms),
        status: "busy",
        load: 1,
        current_task: "tests",
        last_seen_ms: 1_000,
      });
      assert.deepEqual(await fleet.agent(ada), agent);
      assert.equal(await opened.store.events.head(), head);
    });

    it("that are unknown cannot say anything", async () => {
      await using opened = await openFor(open);
      assert.equal(await opened.store.fleet.touchAgent({ agent_id: ada, status: "busy" }), undefined);
      assert.equal(await opened.store.fleet.agent(ada), undefined);
    });

    it("can be removed, which frees their names and keeps their mail", async () => {
      await using opened = await openFor(open);
      const { fleet, events } = opened.store;
      await fleet.putAgent({ agent_id: bob, aliases: [reviewer] }, bob);
      await opened.send();
      const head = await events.head();
      assert.equal(await fleet.removeAgent(reviewer, "operator"), false);
      assert.equal(await fleet.removeAgent(bob, "operator"), true);
      assert.equal(await fleet.removeAgent(bob, "operator"), false);
      assert.deepEqual([await fleet.agent(bob), await fleet.agent(reviewer)], [undefined, undefined]);
      const [removed, ...more] = (await events.events(head, 9)).events;
      assert.deepEqual(
        [removed?.event, removed?.agent_id, removed?.actor, more],
        ["agent_removed", bob, "operator", []],
      );
      await fleet.putAgent({ agent_id: reviewer }, "operator");
      await opened.claimOne(bob);
    });
  });

  describe("status", () => {
    it("counts what is in the store and what has happened", async () => {
      await using opened = await openFor(open);
      const { deliveries, history } = opened.store;
      await opened.send({ priority: "urgent", recipients: [bob, cleo] });
      opened.clock.advance(500);
      await opened.send({ priority: "low" });
      const [first, second] = await opened.claim(bob);
      assert(first && second);
      await deliveries.reject({ message_id: first.message.id, lease_id: first.lease_id }, "no", {
        delay_ms: 0,
        actor: bob,
      });
      await deliveries.acknowledge([{ message_id: second.message.id, lease_id: second.lease_id }], bob);
      await opened.claimOne(bob);
      await deliveries.retire(cleo, "gone", "operator");
      await history.import([]);
      const { kind, depth, oldest_age_ms, leased, dead, counts } = await opened.store.status();
      assert.equal(typeof kind, "string");
      assert.deepEqual(
        { depth, oldest_age_ms, leased, dead, counts },
        {
          depth: { urgent: 1, high: 0, normal: 0, low: 0 },
          oldest_age_ms: 500,
          leased: 1,
          dead: 1,
          counts: { accepted: 2, delivered: 3, acknowledged: 1, redelivered: 1, rejected: 1, dead: 1 },
        },
      );
    });

    it("of an empty store is all zero", async () => {
      await using opened = await openFor(open);
      const { depth, oldest_age_ms, leased, dead } = await opened.store.status();
      const none = { urgent: 0, high: 0, normal: 0, low: 0 };
      assert.deepEqual({ depth, oldest_age_ms, leased, dead }, { depth: none, oldest_age_ms: 0, leased: 0, dead: 0 });
    });
  });
}
