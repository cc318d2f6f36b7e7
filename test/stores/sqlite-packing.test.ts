import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { defined } from "../../src/base/defined.ts";
import type { AgentId, LeaseId } from "../../src/contract/messages.ts";
import { packAnswer, packBatch, unpackAnswer, unpackBatch } from "../../src/stores/sqlite/packing.ts";
import type { Batch, BatchAnswer, RequestResult, WriterRequest } from "../../src/stores/sqlite/protocol.ts";
import { toWire } from "../../src/stores/sqlite/publish.ts";
import { ada, aPublication, bob, conversationId, messageId } from "../support/fixtures.ts";
import { agent, maybe, newMessage, type ValueOf } from "./arbitraries.ts";

const publication = fc
  .record({
    content: fc.string({ unit: "binary" }),
    recipients: fc.uniqueArray(agent, { maxLength: 3 }),
    fresh_id: maybe(fc.constant(true as const)),
    to: maybe(fc.constant({ group: "reviewers" as never })),
    deliver_at_ms: maybe(fc.nat()),
    idempotency_key: maybe(fc.string()),
    expires_at_ms: maybe(fc.nat()),
    reply_to: maybe(fc.constant(messageId())),
    conversation_id: maybe(fc.constant(conversationId())),
    notice: maybe(fc.constant(true as const)),
    rerouted: maybe(fc.string()),
    provenance: newMessage.map((it) => it.provenance),
  })
  .map((fields) => toWire(aPublication(defined(fields))));
const acknowledgement = fc.record({
  position: fc.maxSafeNat(),
  recipient: fc.nat(),
  agent_id: agent,
  attempt: fc.nat(),
  lease_id: fc.string().map((it) => it as LeaseId),
});
const step = fc
  .record({
    ledger: fc.array(
      fc.record({
        event: fc.constantFrom("leased", "ready", "dead"),
        at_ms: fc.nat(),
        position: fc.maxSafeNat(),
        agent_id: agent,
        actor: fc.string(),
        reason: maybe(fc.string()),
      }),
      { maxLength: 3 },
    ),
    delivery: maybe(
      fc.constant({
        position: 7,
        recipient: 0,
        agent_id: ada,
        state: "ready",
        attempt: 1,
        depth_change: 0,
      } as const),
    ),
  })
  .map((fields) => defined(fields));
const request: fc.Arbitrary<WriterRequest> = fc.oneof(
  fc.record({
    operation: fc.constant("publish"),
    now_ms: fc.nat(),
    steady_ms: fc.nat(),
    publications: fc.array(publication, { maxLength: 3 }),
  }),
  fc.record({
    operation: fc.constant("acknowledge"),
    at_ms: fc.nat(),
    actor: fc.string(),
    steps: fc.array(acknowledgement, { maxLength: 3 }),
  }),
  fc.record({ operation: fc.constant("steps"), steps: fc.array(step, { maxLength: 3 }) }),
  fc.constantFrom<WriterRequest>(
    { operation: "barrier" },
    { operation: "remove_agent", now_ms: 1, agent_id: "x" as AgentId, actor: "operator" },
  ),
);
const accepted = fc.nat().map((position) => ({ outcome: "accepted", position, conversation_id: conversationId() }));
const held = { outcome: "accepted", position: 1, conversation_id: conversationId(), standing: { state: "held" } };
const result = fc.oneof(
  fc.constant({ value: undefined }),
  fc.constant({ error: { message: "no such table", kind: "other" } }),
  fc.record({ value: fc.array(fc.oneof(accepted, fc.constant(held), fc.boolean()), { maxLength: 3 }) }),
) as fc.Arbitrary<RequestResult>;

/** As it comes out on the other thread. */
function sent<T>(value: T): T {
  return structuredClone(value);
}

/** To the writer, a field that is absent and one that is undefined are the same. */
function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(defined(value)).map(([name, it]) => [name, withoutUndefined(it)]));
}

describe("a packed batch", () => {
  it("says the same when it is unpacked on the other thread", () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 6 }), fc.nat(), (requests, epoch) => {
        const batch: Batch = { epoch, requests };
        assert.deepEqual(withoutUndefined(unpackBatch(sent(packBatch(batch)))), withoutUndefined(batch));
      }),
    );
  });
});

describe("a packed answer", () => {
  it("says the same when it is unpacked on the other thread", () => {
    fc.assert(
      fc.property(fc.array(result, { maxLength: 6 }), (results: ValueOf<typeof result>[]) => {
        const answer: BatchAnswer = { done: true, results, last_event: 3, commit_ms: 0.5, wal_size_bytes: 4_096 };
        assert.deepEqual(withoutUndefined(unpackAnswer(sent(packAnswer(answer)))), withoutUndefined(answer));
      }),
    );
  });

  it("may be a refusal", () => {
    const refused: BatchAnswer = { done: false, error: undefined };
    assert.deepEqual(unpackAnswer(sent(packAnswer(refused))), refused);
  });
});

describe("a message to many", () => {
  it("keeps its recipients in their order", () => {
    const requests: WriterRequest[] = [
      {
        operation: "publish",
        now_ms: 1,
        steady_ms: 1,
        publications: [toWire(aPublication({ recipients: [bob, ada] }))],
      },
    ];
    const [unpacked] = unpackBatch(sent(packBatch({ epoch: 0, requests }))).requests;
    assert(unpacked?.operation === "publish");
    assert.deepEqual(unpacked.publications[0]?.recipients, [bob, ada]);
  });
});
