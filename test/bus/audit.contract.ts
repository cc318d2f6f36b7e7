import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../src/base/time.ts";
import type { Input } from "../../src/contract/operations.ts";
import { monday_ms } from "../support/fixtures.ts";
import { type OpenHive, openScene, rejectsWith } from "./scene.ts";

export function auditContract(name: string, openHive: OpenHive): void {
  describe(`${name}: the audit log`, () => {
    it("tells what was done, the latest first, a page at a time, by event, actor and time", async () => {
      await using hive = await openScene(openHive);
      const { bus, clock } = hive;
      const { key_id } = await bus.createToken({ scopes: ["observe"] });
      clock.advance(1_000);
      await bus.revokeToken({ key_id });
      await bus.redriveDeadLetters({});
      const read = async (query: Input<"readAudit"> = {}) =>
        (await bus.readAudit(query)).entries.filter((it) => it.event !== "audit_read");
      const [redriven, revoked, created] = await read();
      assert.deepEqual(
        [created?.event, revoked?.event, redriven?.event],
        ["token_created", "token_revoked", "dead_letters_redriven"],
      );
      assert.deepEqual(
        [created?.actor, created?.at, created?.detail],
        ["operator", toTimestamp(monday_ms), { key_id }],
      );
      assert.deepEqual([revoked?.prev, redriven?.prev], [created?.mac, revoked?.mac]);
      assert.deepEqual(await read({ event: "token_revoked" }), [revoked]);
      assert.deepEqual(await read({ until: toTimestamp(monday_ms + 1_000) }), [created]);
      assert.deepEqual(await read({ since: toTimestamp(monday_ms + 1_000) }), [redriven, revoked]);
      assert.deepEqual(await read({ actor: "nobody" }), []);
      const question = { actor: "operator", until: toTimestamp(monday_ms + 1_001), limit: 1 };
      const first = await bus.readAudit({ ...question, event: "token_created" });
      assert.deepEqual(first, { entries: [created] });
      assert.ok(!JSON.stringify(await read()).includes("hvp_"));
    });

    it("gives a cursor where there is more, good for the same question alone", async () => {
      await using hive = await openScene(openHive);
      const { bus } = hive;
      for (let i = 0; i < 3; i++) await bus.redriveDeadLetters({});
      const question = { event: "dead_letters_redriven", limit: 2 } as const;
      const first = await bus.readAudit(question);
      assert.ok(first.next_cursor);
      const cursor = first.next_cursor;
      const second = await bus.readAudit({ ...question, cursor });
      assert.deepEqual(
        [...first.entries, ...second.entries].map((it) => it.seq),
        [3, 2, 1],
      );
      assert.equal(second.next_cursor, undefined);
      await rejectsWith(bus.readAudit({ event: "agent_removed", cursor }), "invalid_cursor");
    });
  });
}
