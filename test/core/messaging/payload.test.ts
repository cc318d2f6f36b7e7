import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConversationId, Message, MessageId } from "../../../src/contract/messages.ts";
import { type Payload, saysTheSame } from "../../../src/core/messaging/payload.ts";
import { ada, bob, cleo } from "../../support/fixtures.ts";

const conversation_id = "01930000-0000-7000-8000-000000000001" as ConversationId;
const first: Message = {
  id: "01930000-0000-7000-8000-000000000002" as MessageId,
  from_agent: ada,
  to_agent: bob,
  content: "hello",
  priority: "normal",
  timestamp: "2026-01-05T09:00:00.000Z",
  acknowledged: false,
  conversation_id,
  message_type: "task",
  metadata: { ticket: 1, tags: ["x"] },
  when: "turn",
  offline: "hold",
  provenance: { actor: "ada", token: "agent", trust: "agent" },
  deliver_at: "2026-01-05T10:00:00.000Z",
};
const again: Payload = {
  from_agent: ada,
  to_agent: bob,
  content: "hello",
  priority: "normal",
  message_type: "task",
  metadata: { tags: ["x"], ticket: 1 },
  when: "turn",
  offline: "hold",
  deliver_at_ms: Date.parse("2026-01-05T10:00:00Z"),
};

describe("a repeated request", () => {
  it("says the same when every field the sender gave is the same", () => {
    assert.ok(saysTheSame(first, again));
    assert.ok(saysTheSame(first, { ...again, conversation_id }));
  });

  const differences: Partial<Payload>[] = [
    { from_agent: cleo },
    { to_agent: cleo },
    { to: { group: "all" } },
    { content: "hello!" },
    { priority: "high" },
    { message_type: "status" },
    { metadata: { ticket: 2, tags: ["x"] } },
    { when: "tool" },
    { offline: "fail" },
    { reply_to: first.id },
    { conversation_id: first.id as string as ConversationId },
    { deliver_at_ms: 0 },
    { expires_at_ms: 0 },
  ];
  for (const difference of differences) {
    it(`says something else when ${Object.keys(difference)[0]} differs`, () => {
      assert.equal(saysTheSame(first, { ...again, ...difference }), false);
    });
  }

  it("is compared by its address, not by the agent that was picked for it", () => {
    const picked: Message = { ...first, to: { capability: "rust" }, to_agent: bob };
    assert.ok(saysTheSame(picked, { ...again, to: { capability: "rust" }, to_agent: cleo }));
    assert.equal(saysTheSame(picked, { ...again, to: { capability: "go" } }), false);
  });

  it("may confirm a broadcast that the first request had confirmed as well as not", () => {
    const broadcast: Message = { ...first, to: { broadcast: true, confirm: true }, to_agent: "broadcast" };
    assert.ok(saysTheSame(broadcast, { ...again, to: { broadcast: true }, to_agent: "broadcast" }));
  });
});
