import fc from "fast-check";
import type { AgentId } from "../../src/contract/messages.ts";
import { deliveryStates, moments, priorities } from "../../src/contract/messages.ts";
import { tokenKinds, trustLevels } from "../../src/contract/provenance.ts";
import { ada, bob, cleo } from "../support/fixtures.ts";
import { aConversationSeal, aSeal } from "../support/sealed.ts";

/*
 * What histories of calls are made of. Small alphabets, so that calls meet each other; things met earlier in a history
 * are referred to by number, since only playing it shows what there is.
 */

/** What an arbitrary makes. */
export type ValueOf<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;

export const agent = fc.constantFrom(ada, bob, cleo);
export const agentName = fc.constantFrom(ada, bob, cleo, "x" as AgentId, "y" as AgentId);
/** Which of those met so far, counted from the latest: most often one of the last few. */
export const reference = fc.oneof({ weight: 5, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(30) });
export const limit = fc.constantFrom(1, 2, 100);
export const offset_ms = fc.constantFrom(0, 1, 700, 700, 3_000, 9_000);
export const conversationStatus = fc.constantFrom("active", "archived", "closed");

/** One time in so many there is one, else undefined. */
export function maybe<T>(arbitrary: fc.Arbitrary<T>, oneIn = 4): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: oneIn - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

export type NewMessage = ValueOf<typeof newMessage>;
export const newMessage = fc.record({
  known_id: maybe(reference, 12),
  from_agent: agent,
  recipients: fc.uniqueArray(agent, { minLength: 1, maxLength: 2 }),
  content: fc.constantFrom("the build is green", "the tests", "Größe 成功 ok", "nul\u0000word is green", ""),
  provenance: fc.record({
    actor: fc.constantFrom("ada", "bob", "operator:7Zk3QpX0a1B", "a name  with spaces "),
    token: fc.constantFrom(...tokenKinds),
    trust: fc.constantFrom(...trustLevels),
  }),
  metadata: fc.constantFrom({}, { ticket: 42 }, { ticket: "42", deep: { tags: ["a", "b"] } }, { "a.b": null }),
  priority: fc.constantFrom(...priorities),
  message_type: fc.constantFrom("task", "question"),
  when: fc.constantFrom(...moments),
  reply_to: maybe(reference),
  conversation: maybe(reference, 6),
  deliver_in_ms: maybe(offset_ms, 5),
  expires_in_ms: maybe(offset_ms, 5),
  idempotency_key: maybe(fc.constantFrom("k", "l"), 5),
  as_participant: maybe(fc.constant(true as const), 5),
  notice: maybe(fc.constant(true as const), 12),
  sealed: maybe(fc.constantFrom(aSeal("A".repeat(43)), aConversationSeal), 6),
  rerouted: maybe(fc.constant("dan is not there"), 12),
});

export type SearchInput = ValueOf<typeof searchInput>;
export const searchInput = fc.record({
  participant: maybe(agent),
  with: maybe(agent, 5),
  from_agent: maybe(agent, 6),
  to_agent: maybe(agent, 6),
  conversation: maybe(reference, 7),
  priority: maybe(fc.constantFrom(...priorities), 7),
  message_type: maybe(fc.constantFrom("task", "question"), 7),
  state: maybe(fc.constantFrom(...deliveryStates)),
  since_ago_ms: maybe(offset_ms, 6),
  until_ago_ms: maybe(offset_ms, 6),
  q: maybe(fc.constantFrom("green", "the green", "成功", "nul word", "build_green", "")),
  metadata: maybe(fc.constantFrom({ ticket: "42" }, { "deep.tags": "b" }, { "a.b": "null", ticket: "42" }), 6),
  visible_to: maybe(agent, 6),
  order: fc.constantFrom("newest", "oldest"),
  limit,
});
