import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../src/base/time.ts";
import type { ConversationId } from "../../src/contract/messages.ts";
import { ada, bob, cleo, conversationId, messageId, monday_ms } from "../support/fixtures.ts";
import { type Opened, type OpenStore, openFor } from "./opened.ts";

/** Which conversation a message belongs to, and how conversations are opened, listed and closed. */
export function conversationContract(open: OpenStore): void {
  describe("the conversation of a message", () => {
    it("is opened by the first one between its participants, and reused by the next, either way round", async () => {
      await using opened = await openFor(open);
      const { conversation_id } = await opened.send();
      opened.clock.advance(1_000);
      const answer = await opened.send({ from_agent: bob, to_agent: ada });
      assert.equal(answer.conversation_id, conversation_id);
      assert.deepEqual(await opened.store.conversations.conversation(conversation_id), {
        id: conversation_id,
        participants: [ada, bob],
        created_at: toTimestamp(monday_ms),
        last_activity: toTimestamp(monday_ms + 1_000),
        status: "active",
      });
    });

    it("is another one between other participants, even if they include the first", async () => {
      await using opened = await openFor(open);
      const pair = await opened.send();
      const trio = await opened.send({ recipients: [bob, cleo] });
      assert.notEqual(trio.conversation_id, pair.conversation_id);
    });

    it("is not one that was opened explicitly: those are joined by naming them", async () => {
      await using opened = await openFor(open);
      const id = conversationId();
      await opened.store.conversations.open({ id, participants: [ada, bob], actor: ada });
      assert.notEqual((await opened.send()).conversation_id, id);
      assert.equal((await opened.send({ conversation_id: id })).conversation_id, id);
    });

    it("is a new one where the last is archived or closed", async () => {
      await using opened = await openFor(open);
      const first = await opened.send();
      await opened.store.conversations.changeStatus(first.conversation_id, "archived", ada);
      const second = await opened.send();
      await opened.store.conversations.changeStatus(second.conversation_id, "closed", ada);
      const third = await opened.send();
      assert.equal(new Set([first, second, third].map((it) => it.conversation_id)).size, 3);
    });

    it("is the latest opened of several active ones", async () => {
      await using opened = await openFor(open);
      const first = await opened.send();
      await opened.store.conversations.changeStatus(first.conversation_id, "archived", ada);
      const second = await opened.send();
      await opened.store.conversations.changeStatus(first.conversation_id, "active", ada);
      await opened.send({ conversation_id: first.conversation_id });
      assert.equal((await opened.send()).conversation_id, second.conversation_id);
    });

    it("is the answered message's", async () => {
      await using opened = await openFor(open);
      const question = await opened.send();
      await opened.store.conversations.changeStatus(question.conversation_id, "archived", ada);
      const answer = await opened.send({ from_agent: bob, to_agent: ada, reply_to: question.id });
      assert.equal(answer.conversation_id, question.conversation_id);
      assert.equal(answer.reply_to, question.id);
    });

    it("takes in whoever is not yet a participant, and then no longer belongs to the pair", async () => {
      await using opened = await openFor(open);
      const { id, conversation_id } = await opened.send();
      await opened.send({ from_agent: cleo, to_agent: bob, reply_to: id });
      const known = await opened.store.conversations.conversation(conversation_id);
      assert.deepEqual(known?.participants, [ada, bob, cleo]);
      assert.notEqual((await opened.send()).conversation_id, conversation_id);
      assert.equal((await opened.send({ recipients: [bob, cleo] })).conversation_id, conversation_id);
    });
  });

  describe("publish, into a conversation", () => {
    it("refuses an unknown one, an unknown message to answer, and the two contradicting each other", async () => {
      await using opened = await openFor(open);
      const { id, conversation_id } = await opened.send();
      const unknown = conversationId();
      const nothing = messageId();
      assert.deepEqual(await opened.trySend({ conversation_id: unknown }), {
        outcome: "conversation_not_found",
        conversation_id: unknown,
      });
      assert.deepEqual(await opened.trySend({ reply_to: nothing }), {
        outcome: "reply_to_not_found",
        message_id: nothing,
      });
      assert.deepEqual(await opened.trySend({ reply_to: id, conversation_id: unknown }), {
        outcome: "reply_to_elsewhere",
        conversation_id,
      });
      await opened.send({ reply_to: id, conversation_id });
    });

    it("refuses a closed one, also by way of an answer", async () => {
      await using opened = await openFor(open);
      const { id, conversation_id } = await opened.send();
      await opened.store.conversations.changeStatus(conversation_id, "closed", ada);
      const refusal = { outcome: "conversation_closed", conversation_id };
      assert.deepEqual(await opened.trySend({ conversation_id }), refusal);
      assert.deepEqual(await opened.trySend({ reply_to: id }), refusal);
    });

    it("makes an archived one active again, and says so before anything else", async () => {
      await using opened = await openFor(open);
      const { conversation_id } = await opened.send();
      await opened.store.conversations.changeStatus(conversation_id, "archived", ada);
      const head = await opened.store.events.head();
      await opened.send({ conversation_id, recipients: [cleo], to_agent: cleo, actor: "operator" });
      assert.equal((await opened.store.conversations.conversation(conversation_id))?.status, "active");
      assert.deepEqual(await eventsAfter(opened, head), [
        "conversation_changed by operator: active",
        "conversation_changed by operator: joined: cleo",
        "accepted by operator",
      ]);
    });

    it("says that one was opened before it says that the message was accepted", async () => {
      await using opened = await openFor(open);
      await opened.send();
      assert.deepEqual(await eventsAfter(opened, 0), ["conversation_opened by ada", "accepted by ada"]);
    });
  });

  describe("conversations", () => {
    it("can be opened between participants, who are sorted and named once", async () => {
      await using opened = await openFor(open);
      const id = conversationId();
      const conversation = await opened.store.conversations.open({ id, participants: [cleo, ada, cleo], actor: ada });
      const at = toTimestamp(monday_ms);
      assert.deepEqual(conversation, {
        id,
        participants: [ada, cleo],
        created_at: at,
        last_activity: at,
        status: "active",
      });
      assert.deepEqual(await opened.store.conversations.conversation(id), conversation);
      assert.deepEqual(await eventsAfter(opened, 0), ["conversation_opened by ada"]);
    });

    it("are opened once: the same id again answers what there is", async () => {
      await using opened = await openFor(open);
      const id = conversationId();
      const first = await opened.store.conversations.open({ id, participants: [ada], actor: ada });
      opened.clock.advance(1);
      const again = await opened.store.conversations.open({ id, participants: [bob], actor: bob });
      assert.deepEqual(again, first);
      assert.equal(await opened.store.events.head(), 1);
    });

    it("that do not exist are undefined, and cannot be changed", async () => {
      await using opened = await openFor(open);
      assert.equal(await opened.store.conversations.conversation(conversationId()), undefined);
      assert.equal(await opened.store.conversations.changeStatus(conversationId(), "closed", ada), undefined);
    });

    it("change status and say so, once; being changed is no activity", async () => {
      await using opened = await openFor(open);
      const { conversation_id } = await opened.send();
      const head = await opened.store.events.head();
      opened.clock.advance(1_000);
      const closed = await opened.store.conversations.changeStatus(conversation_id, "closed", bob);
      await opened.store.conversations.changeStatus(conversation_id, "closed", bob);
      assert.deepEqual([closed?.status, closed?.last_activity], ["closed", toTimestamp(monday_ms)]);
      assert.deepEqual(await eventsAfter(opened, head), ["conversation_changed by bob: closed"]);
    });

    it("are listed by latest activity, then by id, page by page without gap or repetition", async () => {
      await using opened = await openFor(open);
      const ids: ConversationId[] = [];
      for (let n = 0; n < 7; n++) {
        ids.push(await openConversation(opened));
        if (n % 3 === 2) opened.clock.advance(10);
      }
      opened.clock.advance(10);
      const [revived] = ids;
      assert(revived);
      await opened.send({ conversation_id: revived });
      const [, a, b, c, d, e, f] = ids;
      const expected = [revived, f, ...[c, d, e].sort().reverse(), ...[a, b].sort().reverse()];
      const listed: ConversationId[] = [];
      let after: { last_activity: string; id: ConversationId } | undefined;
      do {
        const page = await opened.store.conversations.conversations({ limit: 2, ...(after && { after }) });
        listed.push(...page.map((it) => it.id));
        after = page.at(-1);
      } while (after);
      assert.deepEqual(listed, expected);
    });

    it("can be asked for by participant and status", async () => {
      await using opened = await openFor(open);
      const { conversation_id: active } = await opened.send();
      const { conversation_id: closed } = await opened.send({ to_agent: cleo });
      await opened.store.conversations.changeStatus(closed, "closed", ada);
      const list = async (filter: { participant?: typeof ada; status?: "active" | "closed" }) =>
        (await opened.store.conversations.conversations({ limit: 10, ...filter })).map((it) => it.id);
      assert.deepEqual(await list({ participant: bob }), [active]);
      assert.deepEqual(await list({ status: "closed" }), [closed]);
      assert.deepEqual(await list({ participant: bob, status: "closed" }), []);
      assert.deepEqual(new Set(await list({ participant: ada })), new Set([active, closed]));
    });
  });
}

async function openConversation({ store }: Opened): Promise<ConversationId> {
  const id = conversationId();
  await store.conversations.open({ id, participants: [ada, bob], actor: ada });
  return id;
}

async function eventsAfter({ store }: Opened, position: number): Promise<string[]> {
  const { events } = await store.events.events(position, 100);
  return events.map(({ event, actor, reason }) => `${event} by ${actor}${reason === undefined ? "" : `: ${reason}`}`);
}
