import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import type { Message } from "../../src/contract/messages.ts";
import { ada, aPublication, bob, cleo, messageId, monday_ms } from "../support/fixtures.ts";
import { leaseOf, type Opened, type OpenStore, openFor } from "./opened.ts";

const day_ms = 86_400_000;

/** What may be forgotten, and what is answered about what is. */
export function retentionContract(open: OpenStore): void {
  describe("prune", () => {
    it("forgets old messages whose every delivery has ended, with their ledgers", async () => {
      await using opened = await openFor(open);
      const acknowledged = await handled(opened);
      const dead = await opened.send();
      await opened.store.deliveries.retire(bob, "gone", "operator");
      const half = await opened.send({ recipients: [bob, cleo] });
      await opened.store.deliveries.acknowledge([leaseOf(await opened.claimOne(bob))], bob);
      const open_ = await opened.send();
      opened.clock.advance(day_ms);
      assert.equal(await opened.store.history.prune(opened.clock.now(), 9), 2);
      assert.deepEqual(await kept(opened, [acknowledged, dead, half, open_]), [false, false, true, true]);
      assert.deepEqual((await opened.store.history.deadLetters({ limit: 9 })).rows, []);
      assert.equal((await opened.store.history.inbox(bob)).dead, 0);
      assert.equal((await opened.store.status()).dead, 0);
      assert.deepEqual(await opened.ledger(open_.id), ["accepted"]);
    });

    it("keeps what was accepted since then, or what something has happened with since then", async () => {
      await using opened = await openFor(open);
      const late = await opened.send();
      opened.clock.advance(1_000);
      const young = await opened.send();
      for (const delivery of await opened.claim(bob)) {
        await opened.store.deliveries.acknowledge([leaseOf(delivery)], bob);
      }
      assert.equal(await opened.store.history.prune(monday_ms + 1_000, 9), 0);
      assert.deepEqual(await kept(opened, [late, young]), [true, true]);
      assert.equal(await opened.store.history.prune(monday_ms + 1_001, 9), 2);
    });

    it("keeps what was imported until the import is old", async () => {
      await using opened = await openFor(open);
      const row = { ...aPublication(), timestamp_ms: monday_ms - 365 * day_ms };
      await opened.store.history.import([row]);
      assert.equal(await opened.store.history.prune(monday_ms, 9), 0);
      assert.equal(await opened.store.history.prune(monday_ms + 1, 9), 1);
    });

    it("keeps what is dated later than it was imported", async () => {
      await using opened = await openFor(open);
      await opened.store.history.import([{ ...aPublication(), timestamp_ms: monday_ms + 1_000 }]);
      assert.equal(await opened.store.history.prune(monday_ms + 1_000, 9), 0);
      assert.equal(await opened.store.history.prune(monday_ms + 1_001, 9), 1);
    });

    it("forgets no key but that of what it forgets", async () => {
      await using opened = await openFor(open);
      await handled(opened);
      const other = await opened.send({ idempotency_key: "k" });
      opened.clock.advance(1);
      assert.equal(await opened.store.history.prune(opened.clock.now(), 9), 1);
      assert.deepEqual(await opened.trySend({ idempotency_key: "k" }), { outcome: "duplicate", message: other });
    });

    it("keeps what still answers to an idempotency key", async () => {
      await using opened = await openFor(open, { idempotency_ms: 5_000 });
      const first = await handled(opened, { idempotency_key: "k" });
      opened.clock.advance(5_000);
      assert.equal(await opened.store.history.prune(opened.clock.now(), 9), 0);
      assert.deepEqual((await opened.trySend({ idempotency_key: "k" })).outcome, "duplicate");
      opened.clock.advance(1);
      assert.equal(await opened.store.history.prune(opened.clock.now(), 9), 1);
      const second = await opened.send({ idempotency_key: "k" });
      assert.notEqual(second.id, first.id);
    });

    it("forgets no more than it may, the oldest first", async () => {
      await using opened = await openFor(open);
      const messages = [await handled(opened), await handled(opened), await handled(opened)];
      opened.clock.advance(1);
      assert.equal(await opened.store.history.prune(opened.clock.now(), 2), 2);
      assert.deepEqual(await kept(opened, messages), [false, false, true]);
    });

    it("leaves conversations, and what comes after finds them", async () => {
      await using opened = await openFor(open);
      const { id, conversation_id } = await handled(opened);
      opened.clock.advance(1);
      await opened.store.history.prune(opened.clock.now(), 9);
      assert.equal((await opened.trySend({ reply_to: id })).outcome, "reply_to_not_found");
      assert.equal((await opened.send()).conversation_id, conversation_id);
    });

    it("lets nobody use again an id from before, since it cannot be told whether it was used", async () => {
      await using opened = await openFor(open);
      const fresh = messageId(monday_ms + 60_000);
      const old = messageId(monday_ms - 1);
      await opened.send({ id: messageId(monday_ms - 2) });
      opened.clock.advance(60_000);
      await opened.store.history.prune(monday_ms, 9);
      await opened.store.history.prune(monday_ms - 10_000, 9);
      assert.deepEqual(await opened.trySend({ id: old }), { outcome: "id_expired", kept_since_ms: monday_ms });
      await opened.send({ id: messageId(monday_ms) });
      await opened.send({ id: fresh });
      assert.equal((await opened.trySend({ id: fresh })).outcome, "duplicate");
      // Nobody can have used what the bus has just made, even if the clock was set back since.
      assert.equal((await opened.trySend({ id: old, fresh_id: true })).outcome, "accepted");
    });

    it("still answers an old id that it knows", async () => {
      await using opened = await openFor(open);
      const first = await opened.send({ id: messageId(monday_ms - 1) });
      await opened.store.history.prune(monday_ms, 9);
      assert.deepEqual(await opened.trySend({ id: first.id }), { outcome: "duplicate", message: first });
    });

    it("finds nothing to forget in an empty store", async () => {
      await using opened = await openFor(open);
      assert.equal(await opened.store.history.prune(monday_ms, 9), 0);
    });
  });

  describe("events", () => {
    it("are numbered from 1 in the order they happened, and read page by page from any position", async () => {
      await using opened = await openFor(open);
      assert.equal(await opened.store.events.head(), 0);
      const { id, conversation_id, from_agent } = await opened.send();
      await opened.store.fleet.putAgent({ agent_id: cleo }, "operator");
      const sent = { message_id: id, agent_id: bob, conversation_id, from_agent };
      const at = "2026-01-05T09:00:00.000Z";
      assert.deepEqual(await opened.store.events.events(0, 9), {
        gap: false,
        events: [
          { position: 1, event: "conversation_opened", at, actor: ada, conversation_id },
          { position: 2, event: "accepted", at, actor: ada, ...sent },
          { position: 3, event: "agent_registered", at, actor: "operator", agent_id: cleo },
        ],
      });
      const { events } = await opened.store.events.events(1, 1);
      assert.deepEqual(
        events.map((it) => it.position),
        [2],
      );
      assert.equal(await opened.store.events.head(), 3);
      assert.deepEqual(await opened.store.events.events(3, 9), { gap: false, events: [] });
    });

    it("are announced soon after they happened, until the listener stops", async () => {
      await using opened = await openFor(open);
      let { promise, resolve } = Promise.withResolvers<void>();
      let calls = 0;
      const stop = opened.store.events.onEvents(() => {
        calls += 1;
        resolve();
      });
      await opened.send();
      await promise;
      ({ promise, resolve } = Promise.withResolvers<void>());
      await opened.claimOne(bob);
      await promise;
      stop();
      const before = calls;
      await opened.send();
      await opened.store.events.events(0, 9);
      assert.equal(calls, before);
    });

    it("of forgotten messages are gone, and a reader who has not read them is told", async () => {
      await using opened = await openFor(open);
      await opened.send();
      await handled(opened, { to_agent: cleo });
      const head = await opened.store.events.head();
      opened.clock.advance(1_000);
      await opened.send();
      await opened.store.history.prune(monday_ms + 1_000, 9);
      const { events, gap } = await opened.store.events.events(0, 99);
      assert.deepEqual(
        events.map(({ position, event }) => [position, event]),
        [
          [2, "accepted"],
          [head + 1, "accepted"],
        ],
      );
      assert.equal(gap, true);
      assert.equal((await opened.store.events.events(head - 1, 9)).gap, true);
      assert.equal((await opened.store.events.events(head, 9)).gap, false);
      assert.equal(await opened.store.events.head(), head + 1);
    });

    it("of no message are forgotten by their age alone", async () => {
      await using opened = await openFor(open);
      await opened.store.fleet.putAgent({ agent_id: ada }, ada);
      opened.clock.advance(1_000);
      await opened.store.fleet.putAgent({ agent_id: bob }, bob);
      await opened.store.history.prune(monday_ms + 1_000, 9);
      const { events, gap } = await opened.store.events.events(0, 9);
      assert.deepEqual([events.map((it) => it.agent_id), gap], [[bob], true]);
    });

    it("go on counting when all of them are forgotten", async () => {
      await using opened = await openFor(open);
      await handled(opened);
      const head = await opened.store.events.head();
      opened.clock.advance(1_000);
      await opened.store.history.prune(opened.clock.now(), 9);
      assert.deepEqual(await opened.store.events.events(head, 9), { events: [], gap: false });
      assert.equal(await opened.store.events.head(), head);
      await opened.send();
      assert.equal((await opened.store.events.events(head, 9)).events[0]?.position, head + 1);
    });
  });
}

/** A message that was sent, claimed and acknowledged. */
async function handled(
  { store, send, claim }: Opened,
  overrides: Parameters<Opened["send"]>[0] = {},
): Promise<Message> {
  const message = await send(overrides);
  const [agent_id = bob] = overrides.to_agent ? [cleo] : [];
  const delivery = (await claim(agent_id)).find((it) => it.message.id === message.id);
  assert(delivery);
  await store.deliveries.acknowledge([leaseOf(delivery)], agent_id);
  return message;
}

function kept({ store }: Opened, messages: readonly Message[]): Promise<boolean[]> {
  return Promise.all(messages.map(async ({ id }) => (await store.history.message(id)) !== undefined));
}
