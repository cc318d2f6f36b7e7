import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { describeDuration, toTimestamp } from "../../src/base/time.ts";
import type { AgentId, LeaseId, MessageId } from "../../src/contract/messages.ts";
import { retryDelayMs } from "../../src/core/messaging/policy.ts";
import { ada, bob, cleo, messageId, monday_ms, testPolicy } from "../support/fixtures.ts";
import { leaseOf, type Opened, type OpenStore, openFor } from "./opened.ts";

const retry = { max_attempts: 3, base_delay_ms: 8_000, max_delay_ms: 60_000 };
const policy = { retry: { ...testPolicy().retry, task: retry } };

/** What becomes of a delivery that is not acknowledged: tried again, given up, brought back. */
export function failureContract(open: OpenStore): void {
  describe("reject", () => {
    it("schedules the next attempt after a back-off, and keeps the reason", async () => {
      await using opened = await openFor(open, policy);
      const { id } = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob));
      const delay_ms = retryDelayMs(retry, 1, id);
      const outcome = await opened.store.deliveries.reject(lease, "no disk", { actor: bob });
      const available_at = toTimestamp(monday_ms + delay_ms);
      const status = { message_id: id, agent_id: bob, state: "scheduled", attempt: 1, available_at, reason: "no disk" };
      assert.deepEqual(outcome, { outcome: "done", status });
      assert.deepEqual((await opened.ledger(id)).slice(2), [
        "rejected: no disk",
        `scheduled: no disk; again in ${describeDuration(delay_ms)}`,
      ]);
      opened.clock.advance(delay_ms - 1);
      assert.deepEqual(await opened.store.deliveries.sweep(9), {
        woken: [],
        deaths: [],
        expired: [],
        next_due_ms: 1,
      });
      opened.clock.advance(1);
      assert.deepEqual((await opened.store.deliveries.sweep(9)).woken, [bob]);
      assert.equal((await opened.claimOne(bob)).attempt, 2);
    });

    it("waits as long as asked instead, or not at all", async () => {
      await using opened = await openFor(open, policy);
      const { id } = await opened.send();
      const first = leaseOf(await opened.claimOne(bob));
      await opened.store.deliveries.reject(first, "later", { delay_ms: 3_600_000, actor: bob });
      assert.equal((await opened.status(id)).available_at, toTimestamp(monday_ms + 3_600_000));
      opened.clock.advance(3_600_000);
      await opened.store.deliveries.sweep(9);
      const second = leaseOf(await opened.claimOne(bob));
      await opened.store.deliveries.reject(second, "now", { delay_ms: 0, actor: bob });
      assert.deepEqual((await opened.ledger(id)).slice(-2), ["rejected: now", "ready: now"]);
      assert.equal((await opened.claimOne(bob)).attempt, 3);
    });

    it("gives up after the last attempt, whatever delay is asked for, and tells whose it was", async () => {
      await using opened = await openFor(open, policy);
      const message = await opened.send();
      await failTwice(opened);
      const last = leaseOf(await opened.claimOne(bob));
      const outcome = await opened.store.deliveries.reject(last, "no disk", { delay_ms: 0, actor: bob });
      const reason = "attempts used up (3): no disk";
      assert.deepEqual(outcome, {
        outcome: "done",
        status: { message_id: message.id, agent_id: bob, state: "dead", attempt: 3, reason },
        dead: { message, agent_id: bob, reason, died_at: toTimestamp(opened.clock.now()) },
      });
      assert.deepEqual((await opened.ledger(message.id)).slice(-2), ["rejected: no disk", `dead: ${reason}`]);
    });

    it("follows the policy of the message's type", async () => {
      const status = { ...retry, max_attempts: 1 };
      await using opened = await openFor(open, { retry: { ...policy.retry, status } });
      await opened.send({ message_type: "status" });
      const lease = leaseOf(await opened.claimOne(bob));
      const outcome = await opened.store.deliveries.reject(lease, "no", { actor: bob });
      assert(outcome.outcome === "done");
      assert.equal(outcome.status.state, "dead");
    });

    it("gives up a message that has expired meanwhile", async () => {
      await using opened = await openFor(open, policy);
      const { id } = await opened.send({ expires_at_ms: monday_ms + 1_000 });
      const lease = leaseOf(await opened.claimOne(bob));
      opened.clock.advance(1_000);
      const outcome = await opened.store.deliveries.reject(lease, "no", { actor: bob });
      assert(outcome.outcome === "done");
      assert.equal(outcome.dead?.reason, "expired");
      assert.deepEqual((await opened.ledger(id)).slice(-2), ["rejected: no", "dead: expired"]);
    });

    it("changes nothing without a current lease", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob, { lease_ms: 1_000 }));
      opened.clock.advance(1_000);
      const { reject } = opened.store.deliveries;
      const before = await opened.status(id);
      assert.deepEqual(await reject(lease, "no", { actor: bob }), { outcome: "lease_lost", status: before });
      assert.deepEqual(await reject({ ...lease, message_id: messageId() }, "no", { actor: bob }), {
        outcome: "message_not_found",
      });
      assert.deepEqual(await opened.status(id), before);
    });

    it("measures the back-off by elapsed time, whatever happens to the wall clock", async () => {
      await using opened = await openFor(open, policy);
      await opened.send();
      const lease = leaseOf(await opened.claimOne(bob));
      await opened.store.deliveries.reject(lease, "no", { delay_ms: 5_000, actor: bob });
      opened.clock.setWall(monday_ms + 86_400_000);
      assert.deepEqual(await opened.store.deliveries.sweep(9), {
        woken: [],
        deaths: [],
        expired: [],
        next_due_ms: 5_000,
      });
      opened.clock.setWall(monday_ms - 86_400_000);
      opened.clock.advance(5_000);
      assert.deepEqual((await opened.store.deliveries.sweep(9)).woken, [bob]);
    });
  });

  describe("release", () => {
    it("makes a leased delivery ready at once, with the attempt counted", async () => {
      await using opened = await openFor(open, policy);
      const { id } = await opened.send();
      const { lease_id } = await opened.claimOne(bob);
      const outcome = await opened.store.deliveries.release([lease_id], "connection closed");
      assert.deepEqual(outcome, { woken: [bob], deaths: [] });
      assert.deepEqual((await opened.ledger(id)).at(-1), "ready: connection closed");
      assert.equal((await opened.claimOne(bob)).attempt, 2);
    });

    it("gives up a delivery whose attempts are used up, lest it crash its reader for ever", async () => {
      await using opened = await openFor(open, { retry: { ...policy.retry, task: { ...retry, max_attempts: 1 } } });
      const message = await opened.send();
      const { lease_id } = await opened.claimOne(bob);
      const reason = "attempts used up (1): connection closed";
      assert.deepEqual(await opened.store.deliveries.release([lease_id], "connection closed"), {
        woken: [],
        deaths: [{ message, agent_id: bob, reason, died_at: toTimestamp(monday_ms) }],
      });
    });

    it("never shows a delivery that was given up as one that waits, however soon somebody asks", async () => {
      await using opened = await openFor(open, { retry: { ...policy.retry, task: { ...retry, max_attempts: 2 } } });
      const { history, deliveries } = opened.store;
      const { id } = await opened.send();
      const first = await opened.claimOne(bob);
      await deliveries.release([first.lease_id], "connection closed");
      const last = await opened.claimOne(bob);
      // Asked while the first release is on its way to the disk, answered after the second has happened.
      const asked = history.message(id);
      await setImmediate();
      await deliveries.release([last.lease_id], "connection closed");
      const seen = await asked;
      assert.notEqual(seen?.deliveries[0]?.state, "ready");
      assert.equal((await opened.status(id)).state, "dead");
    });

    it("passes over leases that have ended otherwise", async () => {
      await using opened = await openFor(open);
      await opened.send();
      const lease = leaseOf(await opened.claimOne(bob));
      await opened.store.deliveries.acknowledge([lease], bob);
      const outcome = await opened.store.deliveries.release([lease.lease_id, "no such lease" as LeaseId], "closed");
      assert.deepEqual(outcome, { woken: [], deaths: [] });
    });

    it("ends a lease whose time is over, should the sweep not have come by", async () => {
      await using opened = await openFor(open);
      await opened.send();
      const { lease_id } = await opened.claimOne(bob, { lease_ms: 1_000 });
      opened.clock.advance(2_000);
      assert.deepEqual((await opened.store.deliveries.release([lease_id], "closed")).woken, [bob]);
      assert.deepEqual((await opened.store.deliveries.sweep(9)).expired, []);
    });
  });

  describe("redrive", () => {
    it("makes dead deliveries ready with all attempts before them", async () => {
      await using opened = await openFor(open, policy);
      const { id } = await opened.send();
      await opened.store.deliveries.retire(bob, "gone", "operator");
      const redriven = await opened.store.deliveries.redrive({ limit: 9, actor: "operator" });
      assert.deepEqual(redriven, { message_ids: [id], woken: [bob] });
      const { attempt, message } = await opened.claimOne(bob);
      assert.deepEqual([attempt, message.id], [1, id]);
      assert.deepEqual((await opened.ledger(id)).slice(1, 3), ["dead: gone", "redriven"]);
    });

    it("releases what the loop breaker holds", async () => {
      const loop = { ...testPolicy().loop, slow_after: 1, hold_after: 1 };
      await using opened = await openFor(open, { loop });
      const first = await opened.send();
      const held = await opened.send({ reply_to: first.id });
      const { message_ids } = await opened.store.deliveries.redrive({ limit: 9, actor: "operator" });
      assert.deepEqual(message_ids, [held.id]);
      assert.equal((await opened.claim(bob)).length, 2);
    });

    it("takes an agent's, the named ones, or those that are both, the oldest first, up to a limit", async () => {
      await using opened = await openFor(open);
      const group = await opened.send({ recipients: [bob, cleo] });
      const second = await opened.send();
      const third = await opened.send();
      const alive = await opened.send({ to_agent: "dan" });
      const { redrive, retire } = opened.store.deliveries;
      const kill = async () => {
        await retire(cleo, "gone", "operator");
        await retire(bob, "gone", "operator");
      };
      const idsOf = async (order: { agent_id?: AgentId; message_ids?: MessageId[]; limit: number }) => {
        await kill();
        return (await redrive({ ...order, actor: "operator" })).message_ids;
      };
      assert.deepEqual(await idsOf({ limit: 9 }), [group.id, group.id, second.id, third.id]);
      assert.deepEqual(await idsOf({ limit: 3 }), [group.id, group.id, second.id]);
      assert.deepEqual(await idsOf({ limit: 9, agent_id: cleo }), [group.id]);
      assert.deepEqual(await idsOf({ limit: 9, message_ids: [third.id, alive.id, second.id] }), [second.id, third.id]);
      assert.deepEqual(await idsOf({ limit: 9, agent_id: bob, message_ids: [group.id] }), [group.id]);
      assert.deepEqual(await idsOf({ limit: 9, message_ids: [messageId()] }), []);
    });

    it("lets what had expired live on", async () => {
      await using opened = await openFor(open);
      await opened.send({ expires_at_ms: monday_ms + 1_000 });
      opened.clock.advance(1_000);
      await opened.store.deliveries.sweep(9);
      await opened.store.deliveries.redrive({ limit: 9, actor: "operator" });
      assert.deepEqual((await opened.store.deliveries.sweep(9)).deaths, []);
      await opened.claimOne(bob);
    });

    it("keeps the expiry of what had not yet expired", async () => {
      await using opened = await openFor(open);
      await opened.send({ expires_at_ms: monday_ms + 1_000 });
      await opened.store.deliveries.retire(bob, "gone", "operator");
      await opened.store.deliveries.redrive({ limit: 9, actor: "operator" });
      opened.clock.advance(1_000);
      assert.equal((await opened.store.deliveries.sweep(9)).deaths.length, 1);
    });
  });

  describe("retire", () => {
    it("gives up every open delivery of an agent, and its leases with them", async () => {
      const loop = { ...testPolicy().loop, slow_after: 1, hold_after: 1 };
      await using opened = await openFor(open, { loop });
      const leased = await opened.send();
      const lease = leaseOf(await opened.claimOne(bob));
      const ready = await opened.send();
      const scheduled = await opened.send({ deliver_at_ms: monday_ms + 1_000 });
      const held = await opened.send({ reply_to: leased.id });
      const others = await opened.send({ to_agent: cleo });
      const deaths = await opened.store.deliveries.retire(bob, "bob was removed", "operator");
      const died_at = toTimestamp(monday_ms);
      assert.deepEqual(
        deaths,
        [leased, ready, scheduled, held].map((message) => ({
          message,
          agent_id: bob,
          reason: "bob was removed",
          died_at,
        })),
      );
      assert.deepEqual(await opened.store.deliveries.acknowledge([lease], bob), ["lease_lost"]);
      assert.equal((await opened.status(others.id)).state, "ready");
      const traced = await opened.store.history.message(ready.id);
      assert.deepEqual(traced?.ledger.at(-1), {
        at: died_at,
        event: "dead",
        actor: "operator",
        agent_id: bob,
        reason: "bob was removed",
      });
    });

    it("leaves what is acknowledged or dead", async () => {
      await using opened = await openFor(open);
      await opened.send();
      await opened.store.deliveries.acknowledge([leaseOf(await opened.claimOne(bob))], bob);
      await opened.send();
      await opened.store.deliveries.retire(bob, "gone", "operator");
      assert.deepEqual(await opened.store.deliveries.retire(bob, "gone", "operator"), []);
      assert.deepEqual(await opened.store.deliveries.retire(ada, "gone", "operator"), []);
    });
  });
}

async function failTwice({ store, claimOne }: Opened): Promise<void> {
  for (let n = 0; n < 2; n++) {
    await store.deliveries.reject(leaseOf(await claimOne(bob)), "no disk", { delay_ms: 0, actor: bob });
  }
}
