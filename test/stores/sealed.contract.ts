import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { ada, aPublication, bob, cleo, conversationId } from "../support/fixtures.ts";
import { aConversationSeal, aSeal, shapeOfKeys } from "../support/sealed.ts";
import { type OpenStore, openFor } from "./opened.ts";

/** Messages that no store can read, conversations that take no others, and the keys that agents publish. */
export function sealedContract(open: OpenStore): void {
  const sealed = aSeal("A".repeat(43));

  describe("a sealed message", () => {
    it("comes out of every door as it went in", async () => {
      await using opened = await openFor(open);
      const publication = aPublication({ content: "", sealed });
      const outcome = await opened.trySend(publication);
      assert(outcome.outcome === "accepted");
      assert.deepEqual(outcome.message.sealed, sealed);
      const { message: claimed } = await opened.claimOne(bob);
      assert.deepEqual(claimed, outcome.message);
      const { deliveries: _, ledger: __, ...shown } = (await opened.store.history.message(publication.id)) ?? {};
      assert.deepEqual(shown, outcome.message);
      const { rows } = await opened.store.history.search({ from_agent: ada, order: "newest", limit: 10 });
      assert.deepEqual(rows, [outcome.message]);
      assert.deepEqual(await opened.trySend(publication), { outcome: "duplicate", message: outcome.message });
    });

    it("is found by its envelope, and by no word of its ciphertext", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "", sealed });
      const found = (words: string[]) => opened.store.history.search({ words, order: "newest", limit: 10 });
      assert.deepEqual((await found(["y2lwagvydgv4da"])).rows, []);
      assert.deepEqual((await found(["sealed"])).rows, []);
    });

    it("is still sealed as a dead letter", async () => {
      await using opened = await openFor(open);
      const message = await opened.send({ content: "", sealed });
      await opened.store.deliveries.retire(bob, "bob left", "operator");
      const { rows } = await opened.store.history.deadLetters({ limit: 10 });
      assert.deepEqual(
        rows.map((it) => it.message),
        [message],
      );
    });
  });

  describe("a sealed conversation", () => {
    it("says so, takes sealed messages, and no others", async () => {
      await using opened = await openFor(open);
      const { conversations } = opened.store;
      const id = conversationId();
      const opening = { id, participants: [ada, bob], sealed: true as const, actor: ada };
      const conversation = await conversations.open(opening);
      assert.equal(conversation.sealed, true);
      assert.deepEqual(await conversations.conversation(id), conversation);
      assert.deepEqual(await conversations.conversations({ limit: 10 }), [conversation]);
      const refused = { outcome: "sealed_only", conversation_id: id };
      assert.deepEqual(await opened.trySend({ conversation_id: id }), refused);
      const first = await opened.send({ conversation_id: id, content: "", sealed: aConversationSeal });
      assert.deepEqual(first.sealed, aConversationSeal);
      assert.deepEqual(await opened.trySend({ reply_to: first.id }), refused);
      await opened.send({ reply_to: first.id, content: "", sealed });
      await conversations.changeStatus(id, "archived", ada);
      assert.equal((await conversations.conversation(id))?.sealed, true);
      await opened.send({ conversation_id: id, content: "", sealed });
      assert.deepEqual(await opened.trySend({ conversation_id: id }), refused);
    });

    it("is no other conversation's matter", async () => {
      await using opened = await openFor(open);
      const id = conversationId();
      const conversation = await opened.store.conversations.open({ id, participants: [ada, cleo], actor: ada });
      assert.equal("sealed" in conversation, false);
      await opened.send({ conversation_id: id, content: "", sealed });
      await opened.send({ conversation_id: id });
    });
  });

  describe("the keys of an agent", () => {
    const keys = shapeOfKeys("A");

    it("are shown where it published them, and stay where it registers again without any", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: ada, keys }, ada);
      assert.deepEqual((await fleet.agent(ada))?.keys, keys);
      const again = await fleet.putAgent({ agent_id: ada, groups: ["crew"] }, ada);
      assert(again.outcome === "registered");
      assert.deepEqual([again.agent.keys, again.agent.groups, again.keys_changed], [keys, ["crew"], undefined]);
      assert.deepEqual((await fleet.agents({}))[0]?.keys, keys);
    });

    it("change with an event that says who did it, and only then", async () => {
      await using opened = await openFor(open);
      const { fleet, events } = opened.store;
      const changes = async () =>
        (await events.events(0, 100)).events
          .filter((it) => it.event === "agent_keys_changed")
          .map(({ agent_id, actor, reason }) => [agent_id, actor, reason]);
      await fleet.putAgent({ agent_id: ada }, ada, "never told");
      const first = await fleet.putAgent({ agent_id: ada, keys }, ada, "they are A");
      assert(first.outcome === "registered" && first.keys_changed);
      await fleet.putAgent({ agent_id: ada, keys }, ada, "the same");
      assert.deepEqual(await changes(), [[ada, ada, "they are A"]]);
      await fleet.putAgent({ agent_id: ada, keys: shapeOfKeys("B") }, "operator");
      assert.deepEqual((await changes())[1], [ada, "operator", undefined]);
    });

    it("go with the agent", async () => {
      await using opened = await openFor(open);
      const { fleet } = opened.store;
      await fleet.putAgent({ agent_id: ada, keys }, ada);
      await fleet.removeAgent(ada, "operator");
      await fleet.putAgent({ agent_id: ada }, "operator");
      assert.equal((await fleet.agent(ada))?.keys, undefined);
    });
  });
}
