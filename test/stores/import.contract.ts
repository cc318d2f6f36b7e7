import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../src/base/time.ts";
import { ada, aPublication, bob, cleo, conversationId, monday_ms } from "../support/fixtures.ts";
import { contents, type OpenStore, openFor } from "./opened.ts";

/** What becomes of history that another path has already delivered. */
export function importContract(open: OpenStore): void {
  describe("import", () => {
    const old_ms = monday_ms - 365 * 86_400_000;

    it("stores what was said before as acknowledged, in its place in time, and never delivers it", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "now" });
      const imported = aPublication({ content: "a year ago", actor: "operator" });
      assert.deepEqual(await opened.store.history.import([{ ...imported, timestamp_ms: old_ms }]), [true]);
      assert.deepEqual(contents(await opened.claim(bob)), ["now"]);
      const { rows } = await opened.store.history.search({ order: "oldest", limit: 9 });
      assert.deepEqual(
        rows.map(({ content, timestamp, acknowledged }) => [content, timestamp, acknowledged]),
        [
          ["a year ago", toTimestamp(old_ms), true],
          ["now", toTimestamp(monday_ms), false],
        ],
      );
      const traced = await opened.store.history.message(imported.id);
      assert.deepEqual(traced?.deliveries, [
        { message_id: imported.id, agent_id: bob, state: "acknowledged", attempt: 0 },
      ]);
      assert.deepEqual(traced?.ledger, [
        { at: toTimestamp(monday_ms), event: "imported", actor: "operator", agent_id: bob },
      ]);
    });

    it("passes over ids that are there, sent or imported", async () => {
      await using opened = await openFor(open);
      const sent = await opened.send({ content: "sent" });
      const row = { ...aPublication(), timestamp_ms: old_ms };
      const outcomes = await opened.store.history.import([{ ...row, id: sent.id }, row, row]);
      assert.deepEqual(outcomes, [false, true, false]);
      assert.equal((await opened.store.history.message(sent.id))?.content, "sent");
      assert.equal((await opened.trySend({ id: row.id })).outcome, "duplicate");
    });

    it("keeps the order of rows with equal times", async () => {
      await using opened = await openFor(open);
      const row = (content: string) => ({ ...aPublication({ content }), timestamp_ms: old_ms });
      await opened.store.history.import(["a", "b", "c"].map(row));
      const { rows } = await opened.store.history.search({ order: "oldest", limit: 9 });
      assert.deepEqual(contents(rows), ["a", "b", "c"]);
    });

    it("leaves room for what is sent, also where it was dated in the future", async () => {
      await using opened = await openFor(open);
      await opened.store.history.import([
        { ...aPublication({ content: "future" }), timestamp_ms: monday_ms + 1_000 },
        { ...aPublication({ content: "far future" }), timestamp_ms: Date.parse("9999-12-31T00:00:00Z") },
        { ...aPublication({ content: "far past" }), timestamp_ms: Date.parse("1971-01-01T00:00:00Z") },
      ]);
      opened.clock.advance(1_000);
      await opened.send({ content: "same moment" });
      const { rows } = await opened.store.history.search({ order: "oldest", limit: 9 });
      assert.deepEqual(contents(rows), ["far past", "future", "same moment", "far future"]);
    });

    it("finds room beside what was sent at the same moment", async () => {
      await using opened = await openFor(open);
      await opened.send({ content: "sent" });
      await opened.store.history.import([
        { ...aPublication({ content: "imported" }), timestamp_ms: monday_ms },
        { ...aPublication({ content: "imported too" }), timestamp_ms: monday_ms },
      ]);
      await opened.send({ content: "sent later" });
      const { rows } = await opened.store.history.search({ order: "oldest", limit: 9 });
      assert.deepEqual(contents(rows).slice(0, 3), ["sent", "imported", "imported too"]);
      assert.equal(rows.length, 4);
    });

    it("opens a conversation as old as its first row, by the id given or between the participants", async () => {
      await using opened = await openFor(open);
      const id = conversationId();
      const named = { ...aPublication({ conversation_id: id }), timestamp_ms: old_ms };
      const unnamed = { ...aPublication(), timestamp_ms: old_ms };
      await opened.store.history.import([named, unnamed]);
      const at = toTimestamp(old_ms);
      assert.deepEqual(await opened.store.conversations.conversation(id), {
        id,
        participants: [ada, bob],
        created_at: at,
        last_activity: at,
        status: "active",
      });
      assert.equal((await opened.send()).conversation_id, unnamed.fresh_conversation_id);
    });

    it("neither turns back a conversation's last activity, nor minds its status, nor changes it", async () => {
      await using opened = await openFor(open);
      const { conversation_id } = await opened.send();
      const row = (timestamp_ms: number) => ({ ...aPublication({ conversation_id }), timestamp_ms });
      for (const status of ["archived", "closed"] as const) {
        await opened.store.conversations.changeStatus(conversation_id, status, ada);
        assert.deepEqual(await opened.store.history.import([row(old_ms)]), [true]);
        const known = await opened.store.conversations.conversation(conversation_id);
        assert.deepEqual([known?.status, known?.last_activity], [status, toTimestamp(monday_ms)]);
      }
      await opened.store.history.import([row(monday_ms + 5)]);
      const known = await opened.store.conversations.conversation(conversation_id);
      assert.equal(known?.last_activity, toTimestamp(monday_ms + 5));
    });

    it("takes new participants in", async () => {
      await using opened = await openFor(open);
      const { conversation_id } = await opened.send();
      await opened.store.history.import([
        { ...aPublication({ to_agent: cleo, conversation_id }), timestamp_ms: old_ms },
      ]);
      const known = await opened.store.conversations.conversation(conversation_id);
      assert.deepEqual(known?.participants, [ada, bob, cleo]);
    });

    it("fills no inbox", async () => {
      await using opened = await openFor(open, { inbox_depth: 1 });
      const rows = [1, 2, 3].map((n) => ({ ...aPublication(), timestamp_ms: old_ms + n }));
      assert.deepEqual(await opened.store.history.import(rows), [true, true, true]);
      await opened.send();
    });
  });
}
