import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config } from "../../src/config.ts";
import type { ConversationId } from "../../src/contract/messages.ts";
import type { Input } from "../../src/contract/operations.ts";
import { ada, bob, cleo, messageId } from "../support/fixtures.ts";
import { claim, nobody, type OpenHive, openScene, rejectsWith, send } from "./scene.ts";

/** What the bus promises whoever looks back. */
export function historyContract(name: string, openHive: OpenHive): void {
  const open = (settings: Partial<Config> = {}) => openScene(openHive, settings);

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
        (await hive.bus.searchMessages({ order: "asc", ...query })).messages.map((it) => it.content);
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
      await rejectsWith(hive.bus.searchMessages({ participant: nobody }), "agent_not_found", /nobody/);
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
      const { messages: history } = await hive.bus.searchMessages({ participant: ada, with: bob, order: "asc" });
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
      const agent_id = nobody;
      const { bus } = hive;
      const attempts: (() => Promise<unknown>)[] = [
        () => bus.getAgent({ agent_id }),
        () => bus.removeAgent({ agent_id }),
        () => bus.heartbeat({ agent_id }),
        () => bus.getInbox({ agent_id }),
        () => bus.listDeadLetters({ agent_id }),
        () => bus.redriveDeadLetters({ agent_id }),
      ];
      for (const attempt of attempts) await rejectsWith(attempt(), "agent_not_found", /nobody/);
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
