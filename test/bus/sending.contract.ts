import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config } from "../../src/config.ts";
import type { AgentId, ConversationId, Message } from "../../src/contract/messages.ts";
import { ada, bob, cleo, messageId } from "../support/fixtures.ts";
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

/** What the bus promises a sender. */
export function sendingContract(name: string, openHive: OpenHive): void {
  const open = (settings: Partial<Config> = {}) => openScene(openHive, settings);

  describe(`${name}: sending`, () => {
    it("answers with the whole message, every field of the contract filled in", async () => {
      await using hive = await open();
      const sent = await send(hive.bus, { metadata: { ticket: 42 } });
      const { id, conversation_id, timestamp, ...rest } = sent;
      assert.deepEqual(rest, {
        from_agent: ada,
        to_agent: bob,
        content: "hello",
        priority: "normal",
        acknowledged: false,
        message_type: "task",
        metadata: { ticket: 42 },
        when: "turn",
        offline: "hold",
        provenance: { actor: "operator", token: "admin", trust: "operator" },
      });
      assert.match(id, /^[0-9a-f-]{14}7/);
      assert.match(conversation_id, /^[0-9a-f-]{36}$/);
      assert.equal(timestamp, new Date(hive.clock.now()).toISOString());
    });

    it("keeps any text as it is", async () => {
      await using hive = await open();
      const texts = [
        "",
        ";",
        "-n",
        "\u001b[31mred\u0007",
        "line\nline\r\n\t",
        "🦀 部署 é",
        "\u0000nul",
        '{"json": "\\u0000"}',
      ];
      for (const content of texts) await send(hive.bus, { content });
      assert.deepEqual(contents(await claim(hive.bus)), texts);
    });

    it("refuses half a character, metadata that nests too deep and moments that do not exist", async () => {
      await using hive = await open();
      let deep: object = {};
      for (let i = 0; i < 17; i++) deep = { deep };
      await rejectsWith(send(hive.bus, { content: "\ud800" }), "invalid_input", /surrogate/);
      await rejectsWith(send(hive.bus, { metadata: deep as Message["metadata"] }), "invalid_input", /metadata/);
      await rejectsWith(send(hive.bus, { deliver_at: "2026-13-01T00:00:00Z" }), "invalid_input", /deliver_at/);
      await rejectsWith(send(hive.bus, { expires_at: "2020-01-01T00:00:00Z" }), "invalid_input", /future/);
    });

    it("says that an agent, a group, a capability, a conversation or an answered message is unknown", async () => {
      await using hive = await open();
      const id = messageId();
      await rejectsWith(send(hive.bus, { to_agent: nobody }), "agent_not_found", /PUT \/agents\/nobody/);
      await rejectsWith(send(hive.bus, { to: { group: "none" } }), "group_empty", /none/);
      await rejectsWith(send(hive.bus, { to: { capability: "none" } }), "capability_not_found", /none/);
      await rejectsWith(send(hive.bus, { conversation_id: id as string as ConversationId }), "conversation_not_found");
      await rejectsWith(send(hive.bus, { reply_to: id }), "message_not_found", new RegExp(id));
      await rejectsWith(hive.bus.sendMessage({ content: "to whom?" }), "invalid_input", /to_agent/);
    });

    it("finds agents by their aliases", async () => {
      await using hive = await open();
      await hive.bus.registerAgent({ agent_id: bob, aliases: ["agent-bob" as AgentId] });
      const sent = await send(hive.bus, { to_agent: "agent-bob" as AgentId });
      assert.equal(sent.to_agent, bob);
      await rejectsWith(hive.bus.registerAgent({ agent_id: "agent-bob" as AgentId }), "alias_taken", /bob/);
    });

    it("sends many at once, each judged by itself and in order", async () => {
      await using hive = await open();
      const { results } = await hive.bus.sendMessages({
        messages: [
          { from_agent: ada, to_agent: bob, content: "1" },
          { from_agent: ada, to_agent: nobody, content: "2" },
          { from_agent: ada, to_agent: bob, content: "3" },
        ],
      });
      assert.deepEqual(
        results.map((it) => (it.ok ? it.message.content : it.error.code)),
        ["1", "agent_not_found", "3"],
      );
      assert.deepEqual(contents(await claim(hive.bus)), ["1", "3"]);
    });
  });

  describe(`${name}: sending again`, () => {
    it("returns the first message for the same id or key, and conflicts when it says something else", async () => {
      await using hive = await open();
      const id = messageId();
      const byId = await send(hive.bus, { id });
      const byKey = await send(hive.bus, { idempotency_key: "k", content: "keyed" });
      assert.deepEqual(await send(hive.bus, { id }), byId);
      assert.deepEqual(await send(hive.bus, { idempotency_key: "k", content: "keyed" }), byKey);
      await rejectsWith(send(hive.bus, { id, content: "other" }), "idempotency_conflict", new RegExp(id));
      await rejectsWith(send(hive.bus, { idempotency_key: "k", content: "other" }), "idempotency_conflict");
      assert.equal((await claim(hive.bus)).length, 2);
    });

    it("remembers after the message was acknowledged, for as long as keys are kept", async () => {
      await using hive = await open({ idempotency_ms: 60_000 });
      const first = await send(hive.bus, { idempotency_key: "k" });
      for (const delivery of await claim(hive.bus)) await acknowledge(hive.bus, delivery);
      assert.equal((await send(hive.bus, { idempotency_key: "k" })).id, first.id);
      assert.deepEqual(await claim(hive.bus), []);
      hive.clock.advance(60_001);
      assert.notEqual((await send(hive.bus, { idempotency_key: "k" })).id, first.id);
    });

    it("returns the first message though it could not be sent any more: expired, or its recipient gone", async () => {
      await using hive = await open();
      const expires_at = new Date(hive.clock.now() + 1_000).toISOString();
      const id = messageId();
      const byId = await send(hive.bus, { id, expires_at });
      const byKey = await send(hive.bus, { idempotency_key: "k", content: "keyed" });
      hive.clock.advance(2_000);
      assert.equal((await send(hive.bus, { id, expires_at })).id, byId.id);
      await hive.bus.removeAgent({ agent_id: bob });
      assert.equal((await send(hive.bus, { idempotency_key: "k", content: "keyed" })).id, byKey.id);
      await rejectsWith(send(hive.bus, { idempotency_key: "other" }), "agent_not_found");
      const { results } = await hive.bus.sendMessages({
        messages: [{ id, from_agent: ada, to_agent: bob, content: "hello", expires_at }],
      });
      assert.deepEqual(
        results.map((it) => it.ok && it.message.id),
        [id],
      );
    });

    it("keeps the keys of one sender apart from those of another", async () => {
      await using hive = await open();
      const [one, other] = [
        await send(hive.bus, { idempotency_key: "k" }),
        await send(hive.bus, { from_agent: cleo, idempotency_key: "k" }),
      ];
      assert.notEqual(one.id, other.id);
    });
  });

  describe(`${name}: many recipients`, () => {
    it("makes one message with a delivery for each member of a group but the sender", async () => {
      await using hive = await open();
      for (const agent_id of [ada, bob, cleo]) await hive.bus.registerAgent({ agent_id, groups: ["crew"] });
      const sent = await send(hive.bus, { to: { group: "crew" } });
      assert.equal(sent.to_agent, "group:crew");
      const [toBob] = await claim(hive.bus);
      assert.ok(toBob);
      await acknowledge(hive.bus, toBob);
      const half = await hive.bus.getMessage({ message_id: sent.id });
      assert.equal(half.acknowledged, false);
      assert.deepEqual(
        half.deliveries.map((it) => [it.agent_id, it.state]),
        [
          [bob, "acknowledged"],
          [cleo, "ready"],
        ],
      );
      const [toCleo] = await claim(hive.bus, { agent_id: cleo });
      assert.ok(toCleo);
      await acknowledge(hive.bus, toCleo);
      assert.equal((await hive.bus.getMessage({ message_id: sent.id })).acknowledged, true);
    });

    it("wants a large broadcast to be confirmed", async () => {
      await using hive = await open({ confirm_above: 1 });
      await rejectsWith(send(hive.bus, { to: { broadcast: true } }), "confirmation_required", /2 agents/);
      const sent = await send(hive.bus, { to: { broadcast: true, confirm: true } });
      assert.equal((await hive.bus.getMessage({ message_id: sent.id })).deliveries.length, 2);
    });

    it("picks an agent that has the capability", async () => {
      await using hive = await open();
      await hive.bus.registerAgent({ agent_id: cleo, capabilities: [{ name: "rust", level: 7 }] });
      assert.equal((await send(hive.bus, { to: { capability: "rust" } })).to_agent, cleo);
    });

    it("minds when the recipient is away: hold, fail, or give it to an equal", async () => {
      await using hive = await open();
      const capabilities = [{ name: "rust" }];
      for (const agent_id of [bob, cleo]) await hive.bus.registerAgent({ agent_id, capabilities });
      hive.clock.advance(10 * 60_000);
      for (const agent_id of [ada, cleo]) await hive.bus.heartbeat({ agent_id });
      await rejectsWith(send(hive.bus, { offline: "fail" }), "agent_offline", /last heard of/);
      const held = await send(hive.bus, { offline: "hold" });
      assert.equal((await hive.bus.getMessage({ message_id: held.id })).deliveries[0]?.agent_id, bob);
      const moved = await send(hive.bus, { offline: "reroute" });
      assert.equal((await hive.bus.getMessage({ message_id: moved.id })).deliveries[0]?.agent_id, cleo);
      assert.ok((await eventsOf(hive.bus, moved.id)).includes("rerouted"));
      const [told] = await claim(hive.bus, { agent_id: ada });
      assert.equal(told?.message.metadata["notice"], "rerouted");
    });
  });

  describe(`${name}: limits`, () => {
    it("refuses the new message when an inbox is full, and loses none of the old", async () => {
      await using hive = await open({ inbox_depth: 2 });
      for (const content of ["1", "2"]) await send(hive.bus, { content });
      await assert.rejects(send(hive.bus, { content: "3" }), { code: "inbox_full", retry_after_ms: 1_000 });
      assert.deepEqual(contents(await claim(hive.bus)), ["1", "2"]);
    });

    it("slows and then holds two agents that answer each other without end", async () => {
      await using hive = await open({ loop_slow_after: 3, loop_hold_after: 5, backoff_base_ms: 1_000 });
      let last = await send(hive.bus);
      const states: (string | undefined)[] = [];
      for (let i = 0; i < 5; i++) {
        const [from_agent, to_agent] = i % 2 === 0 ? [bob, ada] : [ada, bob];
        last = await send(hive.bus, { from_agent, to_agent, reply_to: last.id });
        states.push((await hive.bus.getMessage({ message_id: last.id })).deliveries[0]?.state);
      }
      assert.deepEqual(states, ["ready", "ready", "scheduled", "scheduled", "held"]);
      assert.match((await hive.bus.getInbox({ agent_id: ada })).explanation.join(" "), /loop breaker/);
      assert.equal((await hive.bus.redriveDeadLetters({ message_ids: [last.id] })).redriven, 1);
    });

    it("buries what waits for an agent that is removed, and tells the senders", async () => {
      await using hive = await open();
      const { id } = await send(hive.bus);
      assert.deepEqual(await hive.bus.removeAgent({ agent_id: bob }), { removed: true, dead: 1 });
      assert.equal((await hive.bus.getMessage({ message_id: id })).deliveries[0]?.state, "dead");
      const [notice] = await claim(hive.bus, { agent_id: ada });
      assert.equal(notice?.message.metadata["reason"], "the agent bob was removed");
      await rejectsWith(send(hive.bus), "agent_not_found");
    });
  });
}
