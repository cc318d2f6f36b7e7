import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../src/base/time.ts";
import type { MessageId } from "../../src/contract/messages.ts";
import { ada, aPublication, bob, cleo, conversationId, messageId, monday_ms, testPolicy } from "../support/fixtures.ts";
import { type OpenStore, openFor } from "./opened.ts";

/** What publishing promises: what is accepted, what refused, and that one message is entered once. */
export function publishContract(open: OpenStore): void {
  describe("publish", () => {
    it("answers with the message as it will always be shown", async () => {
      await using opened = await openFor(open);
      const publication = aPublication({
        metadata: { ticket: 42, tags: ["a"] },
        deliver_at_ms: monday_ms + 5,
        expires_at_ms: monday_ms + 9,
      });
      const outcome = await opened.trySend(publication);
      assert.deepEqual(outcome, {
        outcome: "accepted",
        ready: [],
        message: {
          id: publication.id,
          from_agent: ada,
          to_agent: bob,
          content: publication.content,
          priority: "normal",
          timestamp: toTimestamp(monday_ms),
          acknowledged: false,
          conversation_id: publication.fresh_conversation_id,
          message_type: "task",
          metadata: { ticket: 42, tags: ["a"] },
          when: "turn",
          offline: "hold",
          provenance: { actor: ada, token: "agent", trust: "agent" },
          deliver_at: toTimestamp(monday_ms + 5),
          expires_at: toTimestamp(monday_ms + 9),
        },
      });
      const { deliveries: _, ledger: __, ...shown } = (await opened.store.history.message(publication.id)) ?? {};
      assert.deepEqual(shown, outcome.message);
    });

    it("keeps content and metadata to the character, with U+0000, quotes, emoji and keys like __proto__", async () => {
      await using opened = await openFor(open);
      const content = "a\u0000b \"quoted\" 'single' \\ \u{1F600} é e\u0301 \u2028 \ufeff";
      const metadata = JSON.parse('{"__proto__": {"x": 1}, "nul": "\\u0000", "": "", "big": 1e300, "zero": -0.5}');
      const { id } = await opened.send({ content, metadata });
      const { message } = await opened.claimOne(bob);
      assert.deepEqual(
        { content: message.content, metadata: JSON.stringify(message.metadata) },
        {
          content,
          metadata: JSON.stringify(metadata),
        },
      );
      assert.deepEqual((await opened.store.history.message(id))?.content, content);
    });

    it("enters one delivery per recipient, and tells which of them can claim it now", async () => {
      await using opened = await openFor(open);
      const outcome = await opened.trySend({ to: { group: "crew" }, to_agent: "group:crew", recipients: [cleo, bob] });
      assert(outcome.outcome === "accepted");
      assert.deepEqual(outcome.ready, [cleo, bob]);
      assert.deepEqual(outcome.message.to, { group: "crew" });
      const traced = await opened.store.history.message(outcome.message.id);
      assert.deepEqual(
        traced?.deliveries.map(({ agent_id, state, attempt }) => [agent_id, state, attempt]),
        [
          [cleo, "ready", 0],
          [bob, "ready", 0],
        ],
      );
    });

    it("accepts each of a batch by itself, in order", async () => {
      await using opened = await openFor(open);
      const first = aPublication();
      const outcomes = await opened.store.deliveries.publish([
        first,
        aPublication({ conversation_id: conversationId() }),
        { ...aPublication(), id: first.id },
        aPublication(),
      ]);
      assert.deepEqual(
        outcomes.map((it) => it.outcome),
        ["accepted", "conversation_not_found", "duplicate", "accepted"],
      );
    });

    it("accepts an empty batch", async () => {
      await using opened = await openFor(open);
      assert.deepEqual(await opened.store.deliveries.publish([]), []);
    });
  });

  describe("publish, the same once more", () => {
    it("answers an id it knows with the first message", async () => {
      await using opened = await openFor(open);
      const first = await opened.send();
      const again = await opened.trySend({ id: first.id, content: "something else" });
      assert.deepEqual(again, { outcome: "duplicate", message: first });
    });

    it("answers a sender's key with the first message, whatever the id", async () => {
      await using opened = await openFor(open);
      const first = await opened.send({ idempotency_key: "k" });
      assert.deepEqual(await opened.trySend({ idempotency_key: "k" }), { outcome: "duplicate", message: first });
    });

    it("keeps the keys of different senders apart", async () => {
      await using opened = await openFor(open);
      await opened.send({ idempotency_key: "k" });
      await opened.send({ from_agent: cleo, idempotency_key: "k" });
    });

    it("does not mix up a sender and a key with another sender and key that read the same when joined", async () => {
      await using opened = await openFor(open);
      await opened.send({ from_agent: "a" as typeof ada, idempotency_key: "b c" });
      await opened.send({ from_agent: "a.b" as typeof ada, idempotency_key: "c" });
      await opened.send({ from_agent: "a" as typeof ada, idempotency_key: "b" });
    });

    it("lets the key go before the id: the key names the message, the id another", async () => {
      await using opened = await openFor(open);
      const byKey = await opened.send({ idempotency_key: "k" });
      const byId = await opened.send();
      assert.deepEqual(await opened.trySend({ id: byId.id, idempotency_key: "k" }), {
        outcome: "duplicate",
        message: byKey,
      });
    });

    it("remembers a key after the acknowledgement, and shows that the message is acknowledged", async () => {
      await using opened = await openFor(open);
      const first = await opened.send({ idempotency_key: "k" });
      const { lease_id } = await opened.claimOne(bob);
      await opened.store.deliveries.acknowledge([{ message_id: first.id, lease_id }], bob);
      assert.deepEqual(await opened.trySend({ idempotency_key: "k" }), {
        outcome: "duplicate",
        message: { ...first, acknowledged: true },
      });
    });

    it("remembers a key for idempotency_ms and no longer", async () => {
      await using opened = await openFor(open, { idempotency_ms: 1_000 });
      await opened.send({ idempotency_key: "k" });
      opened.clock.advance(1_000);
      assert.equal((await opened.trySend({ idempotency_key: "k" })).outcome, "duplicate");
      opened.clock.advance(1);
      const second = await opened.send({ idempotency_key: "k" });
      opened.clock.advance(1_000);
      assert.deepEqual(await opened.trySend({ idempotency_key: "k" }), { outcome: "duplicate", message: second });
    });

    it("does not remember the key of what it refused", async () => {
      await using opened = await openFor(open);
      await opened.trySend({ idempotency_key: "k", conversation_id: conversationId() });
      await opened.send({ idempotency_key: "k" });
    });

    it("answers a repeated message before it looks at anything else", async () => {
      await using opened = await openFor(open, { inbox_depth: 1 });
      const first = await opened.send({ idempotency_key: "k" });
      const again = await opened.trySend({ idempotency_key: "k", reply_to: messageId() });
      assert.deepEqual(again, { outcome: "duplicate", message: first });
    });
  });

  describe("publish, a full inbox", () => {
    it("refuses what is one too many for any recipient, and enters nothing", async () => {
      await using opened = await openFor(open, { inbox_depth: 2 });
      await opened.send();
      await opened.send();
      const head = await opened.store.events.head();
      const refused = await opened.trySend({ recipients: [cleo, bob], idempotency_key: "k" });
      assert.deepEqual(refused, { outcome: "inbox_full", agent_id: bob, depth: 2 });
      assert.deepEqual(await opened.claim(cleo), []);
      assert.equal(await opened.store.events.head(), head);
    });

    it("counts what is ready, scheduled, leased and held, not what is acknowledged or dead", async () => {
      await using opened = await openFor(open, {
        inbox_depth: 4,
        loop: { ...testPolicy().loop, slow_after: 1, hold_after: 1 },
      });
      const question = await opened.send();
      await opened.send({ deliver_at_ms: monday_ms + 1_000 });
      await opened.send({ reply_to: question.id });
      await opened.send();
      await opened.claim(bob, { limit: 1 });
      assert.equal((await opened.trySend()).outcome, "inbox_full");
      await opened.store.deliveries.retire(bob, "gone", "operator");
      await opened.send();
    });

    it("accepts the bus's own notices all the same", async () => {
      await using opened = await openFor(open, { inbox_depth: 1 });
      await opened.send();
      await opened.send({ notice: true });
    });

    it("names the first full recipient", async () => {
      await using opened = await openFor(open, { inbox_depth: 1 });
      await opened.send({ recipients: [bob, cleo] });
      const refused = await opened.trySend({ recipients: [cleo, bob] });
      assert.deepEqual(refused, { outcome: "inbox_full", agent_id: cleo, depth: 1 });
    });

    it("says what will never work before what may work later", async () => {
      await using opened = await openFor(open, { inbox_depth: 1 });
      await opened.send();
      assert.equal((await opened.trySend({ reply_to: messageId() })).outcome, "reply_to_not_found");
      assert.equal((await opened.trySend({ conversation_id: conversationId() })).outcome, "conversation_not_found");
    });
  });

  describe("publish, at a time", () => {
    it("keeps a message with deliver_at in the future for later, and says until when", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send({ deliver_at_ms: monday_ms + 5_000 });
      assert.deepEqual(await opened.status(id), {
        message_id: id,
        agent_id: bob,
        state: "scheduled",
        attempt: 0,
        available_at: toTimestamp(monday_ms + 5_000),
        reason: `not before ${toTimestamp(monday_ms + 5_000)}`,
      });
      assert.deepEqual(await opened.claim(bob), []);
    });

    it("takes a deliver_at that has come as now", async () => {
      await using opened = await openFor(open);
      const outcome = await opened.trySend({ deliver_at_ms: monday_ms });
      assert(outcome.outcome === "accepted");
      assert.deepEqual(outcome.ready, [bob]);
    });
  });

  describe("publish, the loop breaker", () => {
    const loop = { window_ms: 10_000, slow_after: 2, hold_after: 4, base_delay_ms: 1_000, max_delay_ms: 3_000 };

    it("lets quick replies pass, then slows them, then holds them", async () => {
      await using opened = await openFor(open, { loop });
      let last: MessageId | undefined;
      const states: string[] = [];
      for (let depth = 0; depth <= 4; depth++) {
        const { id } = await opened.send(last === undefined ? {} : { reply_to: last });
        const { state, available_at } = await opened.status(id);
        states.push(available_at ? `${state} for ${Date.parse(available_at) - opened.clock.now()} ms` : state);
        opened.clock.advance(3_000);
        await opened.store.deliveries.sweep(100);
        last = id;
      }
      assert.deepEqual(states, ["ready", "ready", "scheduled for 1000 ms", "scheduled for 2000 ms", "held"]);
    });

    it("says why in the ledger and the status", async () => {
      await using opened = await openFor(open, { loop: { ...loop, slow_after: 1, hold_after: 2 } });
      const first = await opened.send();
      const slowed = await opened.send({ reply_to: first.id });
      const held = await opened.send({ reply_to: slowed.id });
      assert.deepEqual(await opened.ledger(slowed.id), [
        "accepted",
        "scheduled: loop breaker: 1 quick replies in a row; delayed",
      ]);
      assert.deepEqual(await opened.ledger(held.id), [
        "accepted",
        "held: loop breaker: 2 quick replies in a row; redrive to release",
      ]);
      const { reason, state } = await opened.status(held.id);
      assert.deepEqual([state, reason], ["held", "loop breaker: 2 quick replies in a row; redrive to release"]);
    });

    it("starts the chain anew after a slow reply", async () => {
      await using opened = await openFor(open, { loop: { ...loop, slow_after: 1 } });
      const { id } = await opened.send();
      opened.clock.advance(10_001);
      const reply = await opened.send({ reply_to: id });
      assert.equal((await opened.status(reply.id)).state, "ready");
    });

    it("measures quickness from when the answered message could be read", async () => {
      await using opened = await openFor(open, { loop: { ...loop, slow_after: 1 } });
      const { id } = await opened.send({ deliver_at_ms: monday_ms + 60_000 });
      opened.clock.advance(70_000);
      const reply = await opened.send({ reply_to: id });
      assert.equal((await opened.status(reply.id)).state, "scheduled");
    });

    it("measures quickness from the end of the delay of a message that was slowed", async () => {
      await using opened = await openFor(open, { loop: { ...loop, slow_after: 1 } });
      const first = await opened.send();
      const slowed = await opened.send({ reply_to: first.id });
      opened.clock.advance(10_500);
      const reply = await opened.send({ reply_to: slowed.id });
      assert.equal((await opened.status(reply.id)).available_at, toTimestamp(opened.clock.now() + 2_000));
    });

    it("lets a slowed reply through when its delay has passed, whatever the wall clock says", async () => {
      await using opened = await openFor(open, { loop: { ...loop, slow_after: 1 } });
      const first = await opened.send({ to_agent: cleo });
      await opened.send({ reply_to: first.id });
      opened.clock.setWall(monday_ms + 60_000);
      assert.equal((await opened.store.deliveries.sweep(9)).next_due_ms, 1_000);
      opened.clock.setWall(monday_ms - 60_000);
      opened.clock.advance(1_000);
      assert.deepEqual((await opened.store.deliveries.sweep(9)).woken, [bob]);
    });

    it("delays a slowed reply with a deliver_at until both have come", async () => {
      await using opened = await openFor(open, { loop: { ...loop, slow_after: 1 } });
      const { id } = await opened.send();
      const soon = await opened.send({ reply_to: id, deliver_at_ms: monday_ms + 500 });
      const late = await opened.send({ reply_to: id, deliver_at_ms: monday_ms + 5_000 });
      assert.equal((await opened.status(soon.id)).available_at, toTimestamp(monday_ms + 1_000));
      assert.equal((await opened.status(late.id)).available_at, toTimestamp(monday_ms + 5_000));
    });

    it("neither slows nor holds the bus's own notices", async () => {
      await using opened = await openFor(open, { loop: { ...loop, slow_after: 1, hold_after: 1 } });
      const { id } = await opened.send();
      const notice = await opened.send({ reply_to: id, notice: true });
      assert.equal((await opened.status(notice.id)).state, "ready");
    });
  });

  describe("publish, the ledger", () => {
    it("notes who had it accepted, for each recipient, and why it goes elsewhere", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send({ recipients: [bob, cleo], actor: "operator", rerouted: "dan is not there" });
      const traced = await opened.store.history.message(id);
      const at = toTimestamp(monday_ms);
      assert.deepEqual(traced?.ledger, [
        { at, event: "accepted", actor: "operator", agent_id: bob },
        { at, event: "accepted", actor: "operator", agent_id: cleo },
        { at, event: "rerouted", actor: "operator", agent_id: bob, reason: "dan is not there" },
        { at, event: "rerouted", actor: "operator", agent_id: cleo, reason: "dan is not there" },
      ]);
    });

    it("puts what is scheduled before what is rerouted, and says nothing of being ready at once", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send({ deliver_at_ms: monday_ms + 1, rerouted: "away" });
      const [, scheduled, rerouted, more] = await opened.ledger(id);
      assert.deepEqual(
        [scheduled, rerouted, more],
        [`scheduled: not before ${toTimestamp(monday_ms + 1)}`, "rerouted: away", undefined],
      );
    });
  });
}
