import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../src/base/time.ts";
import { bob, cleo, monday_ms, testPolicy } from "../support/fixtures.ts";
import { contents, leaseOf, type OpenStore, openFor } from "./opened.ts";

const retry = { max_attempts: 3, base_delay_ms: 8_000, max_delay_ms: 60_000 };
const policy = { retry: { ...testPolicy().retry, task: retry } };

/** What time brings, when the sweep comes by. */
export function sweepContract(open: OpenStore): void {
  describe("sweep", () => {
    it("ends leases whose time is over like a rejection by the bus itself", async () => {
      await using opened = await openFor(open, { retry: { ...policy.retry, task: { ...retry, base_delay_ms: 0 } } });
      const { id } = await opened.send();
      const { lease_id } = await opened.claimOne(bob, { lease_ms: 1_000 });
      assert.equal((await opened.store.deliveries.sweep(9)).next_due_ms, 1_000);
      opened.clock.advance(1_000);
      assert.deepEqual(await opened.store.deliveries.sweep(9), {
        woken: [bob],
        deaths: [],
        expired: [lease_id],
        next_due_ms: undefined,
      });
      const traced = await opened.store.history.message(id);
      assert.deepEqual(
        traced?.ledger.slice(2).map(({ event, actor, reason }) => [event, actor, reason]),
        [
          ["lease_expired", "hivepost", undefined],
          ["ready", "hivepost", "lease expired"],
        ],
      );
    });

    it("gives up after the last attempt, and reports the death", async () => {
      await using opened = await openFor(open, { retry: { ...policy.retry, task: { ...retry, max_attempts: 1 } } });
      const message = await opened.send();
      await opened.claimOne(bob);
      opened.clock.advance(30_000);
      const { deaths, woken } = await opened.store.deliveries.sweep(9);
      const died_at = toTimestamp(monday_ms + 30_000);
      assert.deepEqual(deaths, [{ message, agent_id: bob, reason: "attempts used up (1): lease expired", died_at }]);
      assert.deepEqual(woken, []);
    });

    it("makes scheduled deliveries ready when their time has come by the wall clock", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send({ deliver_at_ms: monday_ms + 5_000 });
      await opened.send({ deliver_at_ms: monday_ms + 9_000, recipients: [cleo] });
      assert.equal((await opened.store.deliveries.sweep(9)).next_due_ms, 5_000);
      opened.clock.setWall(monday_ms + 5_000);
      assert.deepEqual(await opened.store.deliveries.sweep(9), {
        woken: [bob],
        deaths: [],
        expired: [],
        next_due_ms: 4_000,
      });
      assert.deepEqual((await opened.ledger(id)).at(-1), "ready");
      opened.clock.setWall(monday_ms);
      await opened.claimOne(bob);
    });

    it("gives up what has expired while ready, scheduled or held, the earliest first", async () => {
      const loop = { ...testPolicy().loop, slow_after: 1, hold_after: 1 };
      await using opened = await openFor(open, { loop });
      const ready = await opened.send({ expires_at_ms: monday_ms + 2_000 });
      const scheduled = await opened.send({ deliver_at_ms: monday_ms + 9_000, expires_at_ms: monday_ms + 3_000 });
      const held = await opened.send({ reply_to: ready.id, expires_at_ms: monday_ms + 1_000 });
      await opened.send({ expires_at_ms: monday_ms + 5_000 });
      assert.equal((await opened.store.deliveries.sweep(9)).next_due_ms, 1_000);
      opened.clock.advance(3_000);
      const { deaths, next_due_ms } = await opened.store.deliveries.sweep(9);
      assert.deepEqual(
        deaths.map((it) => [it.message.id, it.reason]),
        [held, ready, scheduled].map(({ id }) => [id, "expired"]),
      );
      assert.equal(next_due_ms, 2_000);
    });

    it("leaves what has expired in a lease to its holder, until the lease ends", async () => {
      await using opened = await openFor(open);
      await opened.send({ expires_at_ms: monday_ms + 1_000 });
      await opened.send({ expires_at_ms: monday_ms + 1_000 });
      const [one] = await opened.claim(bob);
      assert(one);
      opened.clock.advance(1_000);
      assert.deepEqual((await opened.store.deliveries.sweep(9)).deaths, []);
      assert.deepEqual(await opened.store.deliveries.acknowledge([leaseOf(one)], bob), ["acknowledged"]);
      opened.clock.advance(29_000);
      const { deaths } = await opened.store.deliveries.sweep(9);
      assert.deepEqual(
        deaths.map((it) => it.reason),
        ["expired"],
      );
    });

    it("does no more of each than it may, the earliest first, and says that more is due", async () => {
      await using opened = await openFor(open);
      for (const [content, ms] of [
        ["third", 3],
        ["first", 1],
        ["second", 2],
      ] as const) {
        await opened.send({ content, deliver_at_ms: monday_ms + ms });
      }
      opened.clock.advance(10);
      assert.equal((await opened.store.deliveries.sweep(2)).next_due_ms, 0);
      assert.deepEqual(contents(await opened.claim(bob)), ["first", "second"]);
      assert.equal((await opened.store.deliveries.sweep(2)).next_due_ms, 30_000);
    });

    it("goes by the wall clock as it is now: what it left is not due any more once the clock was set back", async () => {
      await using opened = await openFor(open);
      await opened.send({ deliver_at_ms: monday_ms + 1_000 });
      await opened.send({ deliver_at_ms: monday_ms + 2_000 });
      opened.clock.setWall(monday_ms + 9_000);
      assert.deepEqual((await opened.store.deliveries.sweep(1)).woken, [bob]);
      opened.clock.setWall(monday_ms);
      const { woken, next_due_ms } = await opened.store.deliveries.sweep(1);
      assert.deepEqual([woken, next_due_ms], [[], 2_000]);
      opened.clock.setWall(monday_ms + 2_000);
      assert.deepEqual((await opened.store.deliveries.sweep(1)).woken, [bob]);
    });

    it("lets through what is both slowed and dated when both clocks have come so far", async () => {
      const loop = { ...testPolicy().loop, slow_after: 1, base_delay_ms: 5_000, max_delay_ms: 5_000 };
      await using opened = await openFor(open, { loop });
      const first = await opened.send({ to_agent: cleo });
      await opened.send({ reply_to: first.id, deliver_at_ms: monday_ms + 3_000 });
      opened.clock.setWall(monday_ms + 60_000);
      assert.equal((await opened.store.deliveries.sweep(9)).next_due_ms, 5_000);
      opened.clock.setWall(monday_ms - 60_000);
      opened.clock.advance(5_000);
      assert.equal((await opened.store.deliveries.sweep(9)).next_due_ms, 58_000);
      opened.clock.setWall(monday_ms + 3_000);
      assert.deepEqual((await opened.store.deliveries.sweep(9)).woken, [bob]);
    });

    it("lets what waits for another attempt expire once", async () => {
      await using opened = await openFor(open, policy);
      await opened.send({ expires_at_ms: monday_ms + 700 });
      const delivery = await opened.claimOne(bob);
      await opened.store.deliveries.reject(leaseOf(delivery), "no", { delay_ms: 60_000, actor: bob });
      opened.clock.advance(700);
      assert.equal((await opened.store.deliveries.sweep(9)).deaths.length, 1);
      assert.equal((await opened.store.history.inbox(bob)).dead, 1);
    });

    it("ends leases in the order of their ends", async () => {
      await using opened = await openFor(open);
      const leases = new Map<number, string>();
      for (const lease_ms of [2_000, 3_000, 1_000]) {
        await opened.send();
        const { lease_id } = await opened.claimOne(bob, { lease_ms });
        leases.set(lease_ms, lease_id);
      }
      opened.clock.advance(5_000);
      const inOrder = [leases.get(1_000), leases.get(2_000), leases.get(3_000)];
      assert.deepEqual((await opened.store.deliveries.sweep(2)).expired, inOrder.slice(0, 2));
      assert.deepEqual((await opened.store.deliveries.sweep(2)).expired, inOrder.slice(2));
    });

    it("notes aging in the order in which the messages could first be handed out", async () => {
      await using opened = await openFor(open, { aging_ms: 10_000 });
      const ids = new Map<number, string>();
      for (const wait_ms of [2_000, 3_000, 1_000]) {
        ids.set(wait_ms, (await opened.send({ deliver_at_ms: monday_ms + wait_ms })).id);
      }
      opened.clock.advance(5_000);
      await opened.store.deliveries.sweep(9);
      opened.clock.advance(10_000);
      const head = await opened.store.events.head();
      await opened.store.deliveries.sweep(9);
      const { events } = await opened.store.events.events(head, 9);
      assert.deepEqual(
        events.map((it) => it.message_id),
        [ids.get(1_000), ids.get(2_000), ids.get(3_000)],
      );
    });

    it("finds nothing to do in an empty store", async () => {
      await using opened = await openFor(open);
      assert.deepEqual(await opened.store.deliveries.sweep(9), {
        woken: [],
        deaths: [],
        expired: [],
        next_due_ms: undefined,
      });
    });
  });
}
