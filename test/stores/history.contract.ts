import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import type { Search } from "../../src/app/ports.ts";
import { toTimestamp } from "../../src/base/time.ts";
import type { AgentId, Message } from "../../src/contract/messages.ts";
import { words } from "../../src/core/messaging/words.ts";
import { ada, bob, cleo, conversationId, messageId, monday_ms, testPolicy } from "../support/fixtures.ts";
import { contents, leaseOf, type Opened, type OpenStore, openFor } from "./opened.ts";

/** What can be asked about the past and the present of messages. */
export function historyContract(open: OpenStore): void {
  describe("message", () => {
    it("that does not exist is undefined", async () => {
      await using opened = await openFor(open);
      assert.equal(await opened.store.history.message(messageId()), undefined);
    });

    it("has its ledger in the order it happened, in which other messages have no part", async () => {
      await using opened = await openFor(open);
      const { id } = await opened.send({ recipients: [bob, cleo] });
      await opened.send();
      const delivery = await opened.claimOne(cleo);
      await opened.store.deliveries.acknowledge([leaseOf(delivery)], cleo);
      const traced = await opened.store.history.message(id);
      assert.deepEqual(
        traced?.ledger.map(({ event, agent_id }) => `${event} ${agent_id}`),
        ["accepted bob", "accepted cleo", "leased cleo", "acknowledged cleo"],
      );
    });
  });

  describe("search", () => {
    const search = (overrides: Partial<Search> = {}): Search => ({ order: "oldest", limit: 100, ...overrides });
    const find = async ({ store }: Opened, overrides: Partial<Search>) =>
      contents((await store.history.search(search(overrides))).rows);

    it("finds everything when nothing is asked, the newest or the oldest first", async () => {
      await using opened = await openFor(open);
      const first = await opened.send({ content: "first" });
      const second = await opened.send({ content: "second" });
      assert.deepEqual(await opened.store.history.search(search()), { rows: [first, second] });
      assert.deepEqual(await opened.store.history.search(search({ order: "newest" })), { rows: [second, first] });
    });

    for (const order of ["newest", "oldest"] as const) {
      it(`pages without gap, repetition or empty last page, the ${order} first, while mail comes in`, async () => {
        await using opened = await openFor(open);
        const sent: string[] = [];
        for (let n = 0; n < 6; n++) {
          sent.push((await opened.send({ content: `m${n}` })).content);
          if (n % 2 === 0) opened.clock.advance(1);
        }
        if (order === "newest") sent.reverse();
        const seen: string[] = [];
        let after: number | undefined;
        let pages = 0;
        do {
          const page = await opened.store.history.search(search({ order, limit: 2, ...(after && { after }) }));
          seen.push(...contents(page.rows));
          after = page.next;
          pages += 1;
          // What comes in meanwhile must not shift the pages; going from the oldest, it is simply met at the end.
          if (order === "newest") await opened.send({ content: "late" });
        } while (after !== undefined);
        assert.deepEqual({ seen, pages }, { seen: sent, pages: 3 });
      });
    }

    it("finds by sender, and by recipient: named, or one of several", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "ada to bob" });
      await opened.send({ content: "bob to cleo", from_agent: bob, to_agent: cleo });
      await opened.send({ content: "cleo to crew", from_agent: cleo, to_agent: "group:crew", recipients: [ada, bob] });
      assert.deepEqual(await find(opened, { from_agent: bob }), ["bob to cleo"]);
      assert.deepEqual(await find(opened, { to_agent: bob }), ["ada to bob", "cleo to crew"]);
      assert.deepEqual(await find(opened, { to_agent: "group:crew" as AgentId }), ["cleo to crew"]);
      assert.deepEqual(await find(opened, { participant: ada }), ["ada to bob", "cleo to crew"]);
      assert.deepEqual(await find(opened, { participant: bob, with: cleo }), ["bob to cleo", "cleo to crew"]);
      assert.deepEqual(await find(opened, { with: cleo }), ["bob to cleo", "cleo to crew"]);
      assert.deepEqual(await find(opened, { participant: ada, with: ada }), []);
      assert.deepEqual(await find(opened, { participant: ada, from_agent: cleo }), ["cleo to crew"]);
    });

    it("finds what an agent sent to itself", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "note", to_agent: ada });
      await opened.send({ content: "other" });
      assert.deepEqual(await find(opened, { participant: ada, with: ada }), ["note"]);
    });

    it("finds by conversation, priority and type", async () => {
      await using opened = await openFor(open);
      const { conversation_id } = await opened.send({ content: "a", priority: "high", message_type: "question" });
      await opened.send({ content: "b", priority: "low", message_type: "question" });
      await opened.send({ content: "c", to_agent: cleo, priority: "high", message_type: "response" });
      assert.deepEqual(await find(opened, { conversation_id }), ["a", "b"]);
      assert.deepEqual(await find(opened, { priority: "high" }), ["a", "c"]);
      assert.deepEqual(await find(opened, { message_type: "question" }), ["a", "b"]);
      assert.deepEqual(await find(opened, { conversation_id, priority: "high", message_type: "response" }), []);
      assert.deepEqual(await find(opened, { conversation_id: conversationId() }), []);
    });

    it("finds by time: since is included, until is not", async () => {
      await using opened = await openFor(open);
      for (const content of ["at 0", "at 10", "at 20"]) {
        await opened.send({ content });
        opened.clock.advance(10);
      }
      assert.deepEqual(await find(opened, { since_ms: monday_ms + 10 }), ["at 10", "at 20"]);
      assert.deepEqual(await find(opened, { until_ms: monday_ms + 10 }), ["at 0"]);
      assert.deepEqual(await find(opened, { since_ms: monday_ms + 10, until_ms: monday_ms + 11 }), ["at 10"]);
      assert.deepEqual(await find(opened, { since_ms: 0, until_ms: 0 }), []);
    });

    it("finds by the state of any delivery", async () => {
      const loop = { ...testPolicy().loop, slow_after: 1, hold_after: 1 };
      await using opened = await openFor(open, { loop });
      const { id } = await opened.send({ content: "leased and ready", recipients: [bob, cleo] });
      await opened.claimOne(bob);
      await opened.send({ content: "acknowledged", to_agent: ada });
      await opened.store.deliveries.acknowledge([leaseOf(await opened.claimOne(ada))], ada);
      await opened.send({ content: "scheduled", deliver_at_ms: monday_ms + 1 });
      await opened.send({ content: "held", reply_to: id });
      await opened.send({ content: "dead", to_agent: "dan" });
      await opened.store.deliveries.retire("dan" as AgentId, "gone", "operator");
      assert.deepEqual(await find(opened, { state: "leased" }), ["leased and ready"]);
      assert.deepEqual(await find(opened, { state: "ready" }), ["leased and ready"]);
      for (const state of ["acknowledged", "scheduled", "held", "dead"] as const) {
        assert.deepEqual(await find(opened, { state }), [state]);
      }
    });

    it("finds all of several whole words, in any script, at once after acceptance", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "The build_42 is GREEN again; Größe ﬁne" });
      await opened.send({ content: "the builder is green" });
      await opened.send({ content: "テスト成功 with nul\u0000word" });
      const ask = async (q: string) => (await find(opened, { words: words(q) })).map((it) => it.slice(0, 9));
      assert.deepEqual(await ask("green THE"), ["The build", "the build"]);
      assert.deepEqual(await ask("build"), []);
      assert.deepEqual(await ask("build_42 green"), ["The build"]);
      assert.deepEqual(await ask("größe fine"), ["The build"]);
      assert.deepEqual(await ask("成功"), ["テスト成功 wit"]);
      assert.deepEqual(await ask("word nul"), ["テスト成功 wit"]);
      assert.equal((await ask("")).length, 3);
      assert.deepEqual(await ask("green missing"), []);
    });

    it("takes words as words, not as a query language", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "this AND that" });
      await opened.send({ content: "this" });
      assert.deepEqual(await find(opened, { words: ["this", "and"] }), ["this AND that"]);
      assert.deepEqual(await find(opened, { words: ["or", "not", "near"] }), []);
    });

    it("finds by equal scalars in metadata, as text, at any depth and in arrays", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "a", metadata: { ticket: 42, done: true, deep: { path: "x" }, tags: ["p", "q"] } });
      await opened.send({ content: "b", metadata: { ticket: "42", nothing: null, "dotted.key": "y" } });
      await opened.send({ content: "c", metadata: { ticket: 421, "100%": "it's" } });
      assert.deepEqual(await find(opened, { metadata: { ticket: "42" } }), ["a", "b"]);
      assert.deepEqual(await find(opened, { metadata: { "deep.path": "x" } }), ["a"]);
      assert.deepEqual(await find(opened, { metadata: { tags: "q", done: "true" } }), ["a"]);
      assert.deepEqual(await find(opened, { metadata: { nothing: "null" } }), ["b"]);
      assert.deepEqual(await find(opened, { metadata: { "dotted.key": "y" } }), ["b"]);
      assert.deepEqual(await find(opened, { metadata: { "100%": "it's" } }), ["c"]);
      assert.deepEqual(await find(opened, { metadata: { deep: "x" } }), []);
    });

    it("holds all conditions at once, over pages", async () => {
      await using opened = await openFor(open);
      for (let n = 0; n < 9; n++) {
        await opened.send({ content: `report ${n}`, priority: n % 3 === 0 ? "high" : "low", metadata: { n } });
      }
      const query = { words: ["report"], priority: "high", participant: bob, limit: 2 } as const;
      const page = await opened.store.history.search(search(query));
      assert.deepEqual(contents(page.rows), ["report 0", "report 3"]);
      assert(page.next !== undefined);
      const rest = await opened.store.history.search(search({ ...query, after: page.next }));
      assert.deepEqual([contents(rest.rows), rest.next], [["report 6"], undefined]);
    });

    it("shows whether a message is acknowledged by now", async () => {
      await using opened = await openFor(open);
      await opened.send();
      await opened.store.deliveries.acknowledge([leaseOf(await opened.claimOne(bob))], bob);
      const { rows } = await opened.store.history.search(search());
      assert.deepEqual(
        rows.map((it) => it.acknowledged),
        [true],
      );
    });
  });

  describe("inbox", () => {
    it("counts by priority and state, and tells when something happens next", async () => {
      const loop = { ...testPolicy().loop, slow_after: 1, hold_after: 1 };
      await using opened = await openFor(open, { loop });
      const { id } = await opened.send({ priority: "urgent" });
      await opened.claimOne(bob, { lease_ms: 9_000 });
      await opened.send({ priority: "urgent" });
      await opened.claimOne(bob, { lease_ms: 8_000 });
      await opened.send({ priority: "urgent" });
      await opened.claimOne(bob, { lease_ms: 10_000 });
      opened.clock.advance(2_000);
      await opened.send({ priority: "low" });
      for (const ms of [6_000, 5_000, 7_000]) await opened.send({ priority: "low", deliver_at_ms: monday_ms + ms });
      await opened.send({ reply_to: id });
      await opened.send({ to_agent: cleo });
      const none = { ready: 0, scheduled: 0, leased: 0, held: 0 };
      assert.deepEqual(await opened.store.history.inbox(bob), {
        depth: {
          urgent: { ...none, leased: 3 },
          high: none,
          normal: { ...none, held: 1 },
          low: { ...none, ready: 1, scheduled: 3 },
        },
        dead: 0,
        oldest_age_ms: 2_000,
        next_available_in_ms: 3_000,
        next_lease_expires_in_ms: 6_000,
        open_leases: 3,
      });
    });

    it("that is empty, or nobody's, has nothing to tell", async () => {
      await using opened = await openFor(open);
      await opened.send();
      await opened.store.deliveries.retire(bob, "gone", "operator");
      const none = { ready: 0, scheduled: 0, leased: 0, held: 0 };
      const empty = {
        depth: { urgent: none, high: none, normal: none, low: none },
        dead: 1,
        oldest_age_ms: undefined,
        next_available_in_ms: undefined,
        next_lease_expires_in_ms: undefined,
        open_leases: 0,
      };
      assert.deepEqual(await opened.store.history.inbox(bob), empty);
      assert.deepEqual(await opened.store.history.inbox(cleo), { ...empty, dead: 0 });
    });

    it("never tells a negative time: what is due and not yet swept is due now", async () => {
      await using opened = await openFor(open);
      await opened.send({ deliver_at_ms: monday_ms + 1_000 });
      await opened.send();
      await opened.claimOne(bob, { lease_ms: 500 });
      opened.clock.advance(5_000);
      const counts = await opened.store.history.inbox(bob);
      assert.deepEqual([counts.next_available_in_ms, counts.next_lease_expires_in_ms], [0, 0]);
      opened.clock.setWall(monday_ms - 5_000);
      assert.equal((await opened.store.history.inbox(bob)).oldest_age_ms, 0);
    });
  });

  describe("dead letters", () => {
    it("are listed with content, reason and time, the latest death first, page by page", async () => {
      await using opened = await openFor(open);
      const older = await opened.send({ content: "older" });
      const group = await opened.send({ content: "group", recipients: [bob, cleo] });
      await opened.store.deliveries.retire(cleo, "cleo left", "operator");
      opened.clock.advance(1_000);
      await opened.store.deliveries.retire(bob, "bob left", "operator");
      const died = (message: Message, agent_id: AgentId, reason: string, at_ms: number) => ({
        message,
        agent_id,
        attempt: 0,
        reason,
        died_at: toTimestamp(at_ms),
      });
      const first = await opened.store.history.deadLetters({ limit: 2 });
      assert.deepEqual(first.rows, [
        died(group, bob, "bob left", monday_ms + 1_000),
        died(older, bob, "bob left", monday_ms + 1_000),
      ]);
      assert(first.next !== undefined);
      assert.deepEqual(await opened.store.history.deadLetters({ limit: 2, after: first.next }), {
        rows: [died(group, cleo, "cleo left", monday_ms)],
      });
      assert.deepEqual(
        (await opened.store.history.deadLetters({ limit: 9, agent_id: cleo })).rows.map((it) => it.agent_id),
        [cleo],
      );
    });

    it("leave the list when redriven, and come back as the latest", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "a" });
      await opened.send({ content: "b" });
      await opened.store.deliveries.retire(bob, "gone", "operator");
      const list = async () =>
        (await opened.store.history.deadLetters({ limit: 9 })).rows.map((it) => it.message.content);
      assert.deepEqual(await list(), ["b", "a"]);
      await opened.store.deliveries.redrive({ limit: 1, actor: "operator" });
      assert.deepEqual(await list(), ["b"]);
      await opened.store.deliveries.retire(bob, "gone again", "operator");
      assert.deepEqual(await list(), ["a", "b"]);
    });
  });
}
