import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config } from "../src/config.ts";
import type { AgentId, ConversationId, Delivery, Message, MessageId } from "../src/contract/messages.ts";
import type { Bus, Input } from "../src/contract/operations.ts";
import { eventually } from "./support/eventually.ts";
import { ada, bob, cleo, messageId, type TestClock } from "./support/fixtures.ts";

/** One hive with ada, bob and cleo registered, seen by an operator. Its clock moves when told. */
export type Hive = AsyncDisposable & { readonly bus: Bus; readonly clock: TestClock };

export type OpenHive = (settings?: Partial<Config>) => Promise<Hive>;

const nowhere = "nobody" as AgentId;
const lease_lost = { acknowledged: false, reason: "lease_lost" } as const;

/** What the bus promises, whether it is in this process or across the network, and whatever it is stored in. */
export function busContract(name: string, openHive: OpenHive): void {
  const open = async (settings: Partial<Config> = {}) => {
    const hive = await openHive(settings);
    for (const agent_id of [ada, bob, cleo]) await hive.bus.registerAgent({ agent_id });
    return hive;
  };
  const send = (bus: Bus, overrides: Partial<Input<"sendMessage">> = {}) =>
    bus.sendMessage({ from_agent: ada, ...(overrides.to ? {} : { to_agent: bob }), content: "hello", ...overrides });
  const claim = async (bus: Bus, overrides: Partial<Input<"claimMessages">> = {}) =>
    (await bus.claimMessages({ agent_id: bob, limit: 100, ...overrides })).deliveries;
  const acknowledge = (bus: Bus, { message, lease_id }: Delivery) =>
    bus.acknowledgeMessage({ message_id: message.id, lease_id });
  const eventsOf = async (bus: Bus, message_id: MessageId) =>
    (await bus.getMessage({ message_id })).ledger.map((it) => it.event);
  const contents = (deliveries: readonly Delivery[]) => deliveries.map((it) => it.message.content);
  const rejectsWith = (promise: Promise<unknown>, code: string, message = /./) =>
    assert.rejects(promise, { name: "BusError", code, message });

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
      await rejectsWith(send(hive.bus, { to_agent: nowhere }), "agent_not_found", /PUT \/agents\/nobody/);
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
          { from_agent: ada, to_agent: nowhere, content: "2" },
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

    it("keeps the keys of one sender apart from those of another", async () => {
      await using hive = await open();
      const [one, other] = [
        await send(hive.bus, { idempotency_key: "k" }),
        await send(hive.bus, { from_agent: cleo, idempotency_key: "k" }),
      ];
      assert.notEqual(one.id, other.id);
    });
  });

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
      await rejectsWith(claim(hive.bus, { agent_id: nowhere }), "agent_not_found", /nobody/);
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

  describe(`${name}: conversations`, () => {
    it("gathers what a pair says, and what answers it", async () => {
      await using hive = await open();
      const question = await send(hive.bus, { message_type: "question" });
      const answer = await send(hive.bus, { from_agent: bob, to_agent: ada, reply_to: question.id });
      assert.equal((await send(hive.bus)).conversation_id, question.conversation_id);
      assert.equal(answer.conversation_id, question.conversation_id);
      const conversation = await hive.bus.getConversation({ conversation_id: question.conversation_id });
      assert.deepEqual([conversation.participants, conversation.status], [[ada, bob], "active"]);
    });

    it("says how to reopen a closed one, and goes on after it was reopened", async () => {
      await using hive = await open();
      const { conversation_id } = await send(hive.bus);
      await hive.bus.updateConversation({ conversation_id, status: "closed" });
      await rejectsWith(send(hive.bus, { conversation_id }), "conversation_closed", /PATCH .*active/);
      assert.notEqual((await send(hive.bus)).conversation_id, conversation_id);
      await hive.bus.updateConversation({ conversation_id, status: "active" });
      assert.equal((await send(hive.bus, { conversation_id })).conversation_id, conversation_id);
    });

    it("lists them by their latest activity, a page at a time", async () => {
      await using hive = await open();
      const made: ConversationId[] = [];
      for (let i = 0; i < 5; i++) {
        hive.clock.advance(10);
        made.unshift((await hive.bus.createConversation({ participants: [ada, bob] })).id);
      }
      const listed: ConversationId[] = [];
      for (let cursor: Input<"listConversations">["cursor"]; ; ) {
        const page = await hive.bus.listConversations({ participant: bob, limit: 2, ...(cursor && { cursor }) });
        listed.push(...page.conversations.map((it) => it.id));
        if (!page.next_cursor) break;
        cursor = page.next_cursor;
      }
      assert.deepEqual(listed, made);
      const unknown = { conversation_id: messageId() as string as ConversationId };
      await rejectsWith(hive.bus.getConversation(unknown), "conversation_not_found");
    });
  });

  describe(`${name}: history`, () => {
    it("finds messages by pair, conversation, type, priority, state, time, metadata and words", async () => {
      await using hive = await open();
      const red = await send(hive.bus, { content: "The build is red", priority: "high", metadata: { ci: { run: 7 } } });
      hive.clock.advance(1_000);
      const why = await send(hive.bus, {
        from_agent: bob,
        to_agent: ada,
        content: "Why red?",
        message_type: "question",
      });
      hive.clock.advance(1_000);
      await send(hive.bus, { from_agent: cleo, content: "Lunch" });
      const find = async (query: Input<"searchMessages">) =>
        (await hive.bus.searchMessages({ order: "oldest", ...query })).messages.map((it) => it.content);
      assert.deepEqual(await find({ participant: ada, with: bob }), ["The build is red", "Why red?"]);
      assert.deepEqual(await find({ participant: cleo }), ["Lunch"]);
      assert.deepEqual(await find({ q: "RED" }), ["The build is red", "Why red?"]);
      assert.deepEqual(await find({ q: "red build" }), ["The build is red"]);
      assert.deepEqual(await find({ q: "re" }), []);
      assert.deepEqual(await find({ message_type: "question" }), ["Why red?"]);
      assert.deepEqual(await find({ priority: "high", from_agent: ada }), ["The build is red"]);
      assert.deepEqual(await find({ "metadata.ci.run": "7" }), ["The build is red"]);
      assert.deepEqual(await find({ since: why.timestamp, to_agent: ada }), ["Why red?"]);
      assert.deepEqual(await find({ until: why.timestamp }), ["The build is red"]);
      assert.deepEqual(await find({ conversation_id: red.conversation_id, state: "ready" }), [
        "The build is red",
        "Why red?",
      ]);
    });

    it("is read page by page, without gap or repetition, though mail keeps coming", async () => {
      await using hive = await open();
      for (let i = 0; i < 7; i++) await send(hive.bus, { content: `${i}` });
      const seen: string[] = [];
      for (let cursor: Input<"searchMessages">["cursor"]; ; ) {
        const page = await hive.bus.searchMessages({ participant: bob, limit: 3, ...(cursor && { cursor }) });
        seen.push(...page.messages.map((it) => it.content));
        await send(hive.bus, { content: "new" });
        if (!page.next_cursor) break;
        cursor = page.next_cursor;
      }
      assert.deepEqual(seen, ["6", "5", "4", "3", "2", "1", "0"]);
    });

    it("tells an old cursor, a foreign cursor and a question without words from an empty page", async () => {
      await using hive = await open({ cursor_ms: 60_000 });
      for (let i = 0; i < 2; i++) await send(hive.bus);
      const { next_cursor } = await hive.bus.searchMessages({ limit: 1 });
      assert.ok(next_cursor);
      await rejectsWith(hive.bus.searchMessages({ limit: 1, q: "x", cursor: next_cursor }), "invalid_cursor");
      await rejectsWith(hive.bus.searchMessages({ cursor: "nonsense" as typeof next_cursor }), "invalid_cursor");
      await rejectsWith(hive.bus.searchMessages({ q: "?!" }), "invalid_input", /no word/);
      await rejectsWith(hive.bus.searchMessages({ participant: nowhere }), "agent_not_found", /nobody/);
      hive.clock.advance(62_000);
      await rejectsWith(hive.bus.searchMessages({ limit: 1, cursor: next_cursor }), "cursor_expired", /start/);
    });

    it("takes in what another path has delivered, once, and never delivers it", async () => {
      await using hive = await open();
      const id = messageId(hive.clock.now() - 86_400_000);
      const timestamp = "2026-01-01T08:00:00.000Z";
      const messages = [{ id, from_agent: ada, to_agent: bob, content: "by tmux", timestamp }];
      assert.deepEqual(await hive.bus.importMessages({ messages }), { imported: 1, already_present: 0 });
      assert.deepEqual(await hive.bus.importMessages({ messages }), { imported: 0, already_present: 1 });
      assert.deepEqual(await claim(hive.bus), []);
      await send(hive.bus, { content: "by the bus" });
      const { messages: history } = await hive.bus.searchMessages({ participant: ada, with: bob, order: "oldest" });
      assert.deepEqual(
        history.map((it) => [it.content, it.acknowledged]),
        [
          ["by tmux", true],
          ["by the bus", false],
        ],
      );
    });

    it("says that a message is unknown", async () => {
      await using hive = await open();
      await rejectsWith(hive.bus.getMessage({ message_id: messageId() }), "message_not_found");
    });
  });

  describe(`${name}: agents`, () => {
    it("are found by capability, group and health", async () => {
      await using hive = await open();
      await hive.bus.registerAgent({
        agent_id: bob,
        groups: ["crew"],
        capabilities: [{ name: "rust" }],
        program: "codex",
      });
      const ids = async (query: Input<"listAgents">) =>
        (await hive.bus.listAgents(query)).agents.map((it) => it.agent_id);
      assert.deepEqual(await ids({}), [ada, bob, cleo]);
      assert.deepEqual(await ids({ group: "crew" }), [bob]);
      assert.deepEqual(await ids({ capability: "rust" }), [bob]);
      hive.clock.advance(10 * 60_000);
      await hive.bus.heartbeat({ agent_id: cleo, status: "busy", load: 0.5, current_task: "tests" });
      assert.deepEqual(await ids({ health: "alive" }), [cleo]);
      const { status, load, current_task } = await hive.bus.getAgent({ agent_id: cleo });
      assert.deepEqual([status, load, current_task], ["busy", 0.5, "tests"]);
    });

    it("have an inbox that says how deep it is and why nothing moves", async () => {
      await using hive = await open();
      await send(hive.bus, { priority: "urgent" });
      hive.clock.advance(1_500);
      const inbox = await hive.bus.getInbox({ agent_id: bob });
      assert.equal(inbox.depth.urgent.ready, 1);
      assert.equal(inbox.oldest_age_ms, 1_500);
      assert.match(inbox.explanation.join(" "), /1 ready to be claimed/);
    });

    it("that are unknown are an error for every operation that names one", async () => {
      await using hive = await open();
      const agent_id = nowhere;
      const { bus } = hive;
      const attempts = [
        bus.getAgent({ agent_id }),
        bus.removeAgent({ agent_id }),
        bus.heartbeat({ agent_id }),
        bus.getInbox({ agent_id }),
        bus.listDeadLetters({ agent_id }),
        bus.redriveDeadLetters({ agent_id }),
      ];
      for (const attempt of attempts) await rejectsWith(attempt, "agent_not_found", /nobody/);
    });
  });

  describe(`${name}: health`, () => {
    it("is told in detail to an operator", async () => {
      await using hive = await open();
      const health = await hive.bus.health({});
      assert.equal(health.status, "ok");
      assert.ok("store" in health);
    });
  });
}
