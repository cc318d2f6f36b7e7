import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../src/base/time.ts";
import type { AgentId, LeaseId, Priority } from "../../src/contract/messages.ts";
import { ada, bob, cleo, messageId, monday_ms } from "../support/fixtures.ts";
import { aClaim, contents, leaseOf, type OpenStore, openFor } from "./opened.ts";

/** Claiming and what a lease allows: order, limits, fencing. */
export function leaseContract(open: OpenStore): void {
  describe("claim", () => {
    it("hands out a message with a lease, and notes it", async () => {
      await using opened = await openFor(open);
      const message = await opened.send();
      const delivery = await opened.claimOne(bob, { lease_ms: 7_000, actor: "operator" });
      const { lease_id, ...rest } = delivery;
      const lease_expires_at = toTimestamp(monday_ms + 7_000);
      assert.deepEqual(rest, { message, agent_id: bob, lease_expires_at, attempt: 1 });
      assert.deepEqual(await opened.status(message.id), {
        message_id: message.id,
        agent_id: bob,
        state: "leased",
        attempt: 1,
        lease_id,
        lease_expires_at,
      });
      const traced = await opened.store.history.message(message.id);
      assert.deepEqual(traced?.ledger[1], {
        at: toTimestamp(monday_ms),
        event: "leased",
        actor: "operator",
        agent_id: bob,
        reason: "attempt 1, lease 7000 ms",
      });
    });

    it("hands a message to nobody else while it is leased", async () => {
      await using opened = await openFor(open);
      await opened.send();
      await opened.claimOne(bob);
      assert.deepEqual(await opened.claim(bob), []);
    });

    it("hands out the more pressing first, then what was accepted first", async () => {
      await using opened = await openFor(open);
      const order: Priority[] = ["low", "normal", "urgent", "high", "normal", "urgent", "low"];
      for (const [index, priority] of order.entries()) await opened.send({ priority, content: `${priority} ${index}` });
      assert.deepEqual(contents(await opened.claim(bob)), [
        "urgent 2",
        "urgent 5",
        "high 3",
        "normal 1",
        "normal 4",
        "low 0",
        "low 6",
      ]);
    });

    it("keeps the order of acceptance when the wall clock is set back", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "first" });
      opened.clock.setWall(monday_ms - 3_600_000);
      await opened.send({ content: "second" });
      assert.deepEqual(contents(await opened.claim(bob)), ["first", "second"]);
    });

    it("gives a message that came back its old place", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "first" });
      await opened.send({ content: "second" });
      const [first] = await opened.claim(bob, { limit: 1 });
      assert(first);
      await opened.store.deliveries.reject(leaseOf(first), "busy", { delay_ms: 0, actor: bob });
      assert.deepEqual(contents(await opened.claim(bob)), ["first", "second"]);
    });

    it("hands out no more than asked for", async () => {
      await using opened = await openFor(open);
      for (const content of ["a", "b", "c"]) await opened.send({ content });
      assert.deepEqual(contents(await opened.claim(bob, { limit: 2 })), ["a", "b"]);
    });

    it("hands out only the agent's own mail", async () => {
      await using opened = await openFor(open);
      await opened.send({ recipients: [bob, cleo] });
      await opened.claimOne(bob);
      await opened.claimOne(cleo);
      assert.deepEqual(await opened.claim(ada), []);
      assert.deepEqual(await opened.claim("nobody" as AgentId), []);
    });

    it("hands out nothing less pressing than asked for", async () => {
      await using opened = await openFor(open);
      for (const priority of ["low", "high", "normal", "urgent"] as const) {
        await opened.send({ priority, content: priority });
      }
      assert.deepEqual(contents(await opened.claim(bob, { min_priority: "high" })), ["urgent", "high"]);
    });

    it("hands out only what may reach the agent at this moment", async () => {
      await using opened = await openFor(open);
      for (const when of ["interrupt", "tool", "turn", "digest"] as const) await opened.send({ when, content: when });
      assert.deepEqual(contents(await opened.claim(bob, { when: "interrupt" })), ["interrupt"]);
      assert.deepEqual(contents(await opened.claim(bob, { when: "turn" })), ["tool", "turn"]);
      assert.deepEqual(contents(await opened.claim(bob)), ["digest"]);
    });

    it("never hands out what has expired, even before the sweep", async () => {
      await using opened = await openFor(open);
      await opened.send({ expires_at_ms: monday_ms + 1_000 });
      opened.clock.advance(1_000);
      assert.deepEqual(await opened.claim(bob), []);
    });

    it("hands out no more leases than an agent may hold, and says when it holds them all", async () => {
      await using opened = await openFor(open, { open_leases_per_agent: 2 });
      for (const content of ["a", "b", "c"]) await opened.send({ content });
      const [first] = await opened.claim(bob, { limit: 1 });
      assert.deepEqual(contents(await opened.claim(bob)), ["b"]);
      const full = await opened.store.deliveries.claim(aClaim(bob));
      assert.deepEqual(full, { outcome: "lease_limit", open_leases: 2 });
      assert(first);
      await opened.store.deliveries.acknowledge([leaseOf(first)], bob);
      assert.deepEqual(contents(await opened.claim(bob)), ["c"]);
    });
  });

  describe("aging", () => {
    const aging = { aging_ms: 60_000 };

    it("ranks a delivery one priority higher once it has waited longer", async () => {
      await using opened = await openFor(open, aging);
      await opened.send({ priority: "low", content: "old" });
      opened.clock.advance(60_000);
      await opened.send({ content: "new" });
      assert.deepEqual(contents(await opened.claim(bob, { limit: 1 })), ["new"]);
      opened.clock.advance(1);
      await opened.send({ content: "newer" });
      assert.deepEqual(contents(await opened.claim(bob, { min_priority: "normal" })), ["old", "newer"]);
    });

    it("never ranks anything above urgent, nor by more than one", async () => {
      await using opened = await openFor(open, aging);
      await opened.send({ priority: "urgent", content: "urgent" });
      await opened.send({ priority: "normal", content: "normal" });
      opened.clock.advance(600_000);
      await opened.send({ priority: "high", content: "high" });
      await opened.send({ priority: "urgent", content: "urgent too" });
      assert.deepEqual(contents(await opened.claim(bob)), ["urgent", "urgent too", "normal", "high"]);
    });

    it("counts the wait from when the message could first be handed out", async () => {
      await using opened = await openFor(open, aging);
      await opened.send({ priority: "low", deliver_at_ms: monday_ms + 50_000 });
      opened.clock.advance(110_000);
      await opened.store.deliveries.sweep(100);
      assert.deepEqual(await opened.claim(bob, { min_priority: "normal" }), []);
      opened.clock.advance(1);
      await opened.claimOne(bob, { min_priority: "normal" });
    });

    it("is undone where the clock that said so is set back", async () => {
      await using opened = await openFor(open, aging);
      await opened.send({ priority: "low", deliver_at_ms: monday_ms + 1_000 });
      opened.clock.advance(200_000);
      await opened.store.deliveries.sweep(100);
      opened.clock.setWall(monday_ms);
      assert.deepEqual(await opened.claim(bob, { min_priority: "normal" }), []);
      await opened.claimOne(bob);
    });

    it("is noted once in the ledger by the sweep, and wakes the agent", async () => {
      await using opened = await openFor(open, aging);
      const { id } = await opened.send({ priority: "low" });
      await opened.send({ priority: "urgent" });
      assert.equal((await opened.store.deliveries.sweep(100)).next_due_ms, 60_001);
      opened.clock.advance(60_001);
      assert.deepEqual(await opened.store.deliveries.sweep(100), {
        woken: [bob],
        deaths: [],
        expired: [],
        next_due_ms: undefined,
      });
      await opened.store.deliveries.sweep(100);
      assert.deepEqual(await opened.ledger(id), ["accepted", "ready: waited longer than 60000 ms: ranks as normal"]);
    });

    it("is off by default", async () => {
      await using opened = await openFor(open);
      await opened.send({ priority: "low", content: "old" });
      opened.clock.advance(10 * 86_400_000);
      await opened.send({ content: "new" });
      assert.deepEqual(contents(await opened.claim(bob)), ["new", "old"]);
    });
  });

  describe("acknowledge", () => {
    it("ends a delivery for good, and the message is acknowledged with its last one", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send({ recipients: [bob, cleo] });
      const forBob = await opened.claimOne(bob);
      const forCleo = await opened.claimOne(cleo);
      assert.deepEqual(await opened.store.deliveries.acknowledge([leaseOf(forBob)], bob), ["acknowledged"]);
      assert.equal((await opened.store.history.message(id))?.acknowledged, false);
      assert.deepEqual(await opened.store.deliveries.acknowledge([leaseOf(forCleo)], cleo), ["acknowledged"]);
      assert.equal((await opened.store.history.message(id))?.acknowledged, true);
      assert.deepEqual(await opened.status(id, bob), {
        message_id: id,
        agent_id: bob,
        state: "acknowledged",
        attempt: 1,
      });
      opened.clock.advance(600_000);
      assert.deepEqual((await opened.store.deliveries.sweep(100)).expired, []);
      assert.deepEqual(await opened.claim(bob), []);
    });

    it("may be repeated with the same lease, also in one request, without a second entry in the ledger", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob));
      assert.deepEqual(await opened.store.deliveries.acknowledge([lease, lease], bob), [
        "acknowledged",
        "acknowledged",
      ]);
      opened.clock.advance(600_000);
      assert.deepEqual(await opened.store.deliveries.acknowledge([lease], bob), ["acknowledged"]);
      assert.deepEqual(await opened.ledger(id), ["accepted", "leased: attempt 1, lease 30000 ms", "acknowledged"]);
    });

    it("does nothing with a lease that has ended, even before the sweep", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob, { lease_ms: 1_000 }));
      opened.clock.advance(1_000);
      assert.deepEqual(await opened.store.deliveries.acknowledge([lease], bob), ["lease_lost"]);
      assert.equal((await opened.status(id)).state, "leased");
    });

    it("does nothing with an earlier lease of a message that another now holds", async () => {
      await using opened = await openFor(open);
      await opened.send();
      const late = leaseOf(await opened.claimOne(bob));
      await opened.store.deliveries.release([late.lease_id], "closed");
      const current = leaseOf(await opened.claimOne(bob));
      assert.deepEqual(await opened.store.deliveries.acknowledge([late, current, late], bob), [
        "lease_lost",
        "acknowledged",
        "lease_lost",
      ]);
    });

    it("does nothing with another message's lease, or one that never was", async () => {
      await using opened = await openFor(open);
      const first = await opened.send();
      const second = await opened.send();
      const [held] = await opened.claim(bob, { limit: 1 });
      assert(held);
      assert.deepEqual(
        await opened.store.deliveries.acknowledge(
          [
            { message_id: second.id, lease_id: held.lease_id },
            { message_id: first.id, lease_id: "no such lease" as LeaseId },
            { message_id: messageId(), lease_id: held.lease_id },
          ],
          bob,
        ),
        ["lease_lost", "lease_lost", "message_not_found"],
      );
      assert.equal((await opened.status(first.id)).state, "leased");
    });

    it("measures a lease by elapsed time, whatever happens to the wall clock", async () => {
      await using opened = await openFor(open);
      await opened.send();
      await opened.send();
      const [one, other] = await opened.claim(bob, { lease_ms: 10_000 });
      assert(one && other);
      opened.clock.setWall(monday_ms + 86_400_000);
      assert.deepEqual((await opened.store.deliveries.sweep(100)).expired, []);
      assert.deepEqual(await opened.store.deliveries.acknowledge([leaseOf(one)], bob), ["acknowledged"]);
      opened.clock.setWall(monday_ms - 86_400_000);
      opened.clock.advance(10_000);
      assert.deepEqual((await opened.store.deliveries.sweep(100)).expired, [other.lease_id]);
    });
  });

  describe("extend", () => {
    it("keeps the lease for so long more, counted from now", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob, { lease_ms: 10_000 }));
      opened.clock.advance(9_000);
      const outcome = await opened.store.deliveries.extend(lease, 10_000, bob);
      const status = {
        message_id: id,
        agent_id: bob,
        state: "leased",
        attempt: 1,
        lease_id: lease.lease_id,
        lease_expires_at: toTimestamp(monday_ms + 19_000),
      };
      assert.deepEqual(outcome, { outcome: "done", status });
      opened.clock.advance(9_999);
      assert.deepEqual(await opened.store.deliveries.sweep(100), {
        woken: [],
        deaths: [],
        expired: [],
        next_due_ms: 1,
      });
      assert.deepEqual(await opened.store.deliveries.acknowledge([lease], bob), ["acknowledged"]);
      assert.deepEqual((await opened.ledger(id))[2], "lease_extended: lease 10000 ms");
    });

    it("can shorten a lease", async () => {
      await using opened = await openFor(open);
      await opened.send();
      const lease = leaseOf(await opened.claimOne(bob));
      await opened.store.deliveries.extend(lease, 1, bob);
      opened.clock.advance(1);
      assert.deepEqual((await opened.store.deliveries.sweep(100)).expired, [lease.lease_id]);
    });

    it("does nothing with a lease that has ended, and says how the delivery stands", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob, { lease_ms: 1_000 }));
      opened.clock.advance(1_000);
      const lost = await opened.store.deliveries.extend(lease, 10_000, bob);
      assert.deepEqual(lost, { outcome: "lease_lost", status: await opened.status(id) });
      assert.deepEqual((await opened.store.deliveries.sweep(100)).expired, [lease.lease_id]);
    });
  });

  describe("record", () => {
    it("notes evidence and leaves the lease as it is", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob));
      const before = await opened.status(id);
      const { record } = opened.store.deliveries;
      assert.deepEqual(await record(lease, { event: "injected", reason: "tmux %1", actor: "bridge" }), {
        outcome: "done",
        status: before,
      });
      await record(lease, { event: "seen", actor: bob });
      assert.deepEqual((await opened.ledger(id)).slice(2), ["injected: tmux %1", "seen"]);
    });

    it("notes nothing without a current lease", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send();
      const lease_id = "no such lease" as LeaseId;
      const evidence = { event: "seen", actor: bob } as const;
      const lost = await opened.store.deliveries.record({ message_id: id, lease_id }, evidence);
      assert.deepEqual(lost, { outcome: "lease_lost", status: await opened.status(id) });
      assert.deepEqual(await opened.store.deliveries.record({ message_id: messageId(), lease_id }, evidence), {
        outcome: "message_not_found",
      });
      assert.deepEqual(await opened.ledger(id), ["accepted"]);
    });

    it("tells of the delivery that the lost lease was for, even where the message has several", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send({ recipients: [bob, cleo] });
      const lease = leaseOf(await opened.claimOne(cleo));
      await opened.store.deliveries.acknowledge([lease], cleo);
      const lost = await opened.store.deliveries.record(lease, { event: "seen", actor: cleo });
      assert.deepEqual(lost, { outcome: "lease_lost", status: await opened.status(id, cleo) });
    });
  });
}
