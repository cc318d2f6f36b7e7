import fc from "fast-check";
import type { LeaseRef } from "../../src/app/ports.ts";
import { defined } from "../../src/base/defined.ts";
import type { ConversationId } from "../../src/contract/messages.ts";
import { moments, priorities } from "../../src/contract/messages.ts";
import type { TestClock } from "../support/fixtures.ts";
import { shapeOfKeys } from "../support/sealed.ts";
import {
  agent,
  agentName,
  conversationStatus,
  limit,
  maybe,
  newMessage,
  offset_ms,
  reference,
  searchInput,
  type ValueOf,
} from "./arbitraries.ts";
import {
  conversationAt,
  leaseAt,
  makeId,
  meetMessage,
  messageAt,
  readConversations,
  readPages,
  readStatus,
  type Side,
  toPublication,
  toSearch,
} from "./side.ts";

/** One thing that happens: a call, played to each store, or time passing, once. Prints as what it does. */
export type Step = { readonly [fc.toStringMethod]: () => string } & (
  | { readonly play: (side: Side) => Promise<unknown> }
  | { readonly move: (clock: TestClock) => void }
);

/** A lease met before, seldom with another message than its own, at times from one agent alone, its own or another. */
const lease = fc.record({ lease: reference, message: maybe(reference, 12), agent_id: maybe(agent, 6) });
function toLease(side: Side, given: ValueOf<typeof lease>): LeaseRef {
  const known = leaseAt(side, given.lease);
  const message_id = given.message === undefined ? known.message_id : messageAt(side, given.message);
  return defined({ ...known, message_id, agent_id: given.agent_id });
}

const evidence = fc.constantFrom("injected", "seen");

const publish = call(16, "publish", fc.array(newMessage, { minLength: 1, maxLength: 3 }), async (side, batch) => {
  const outcomes = await side.store.deliveries.publish(batch.map((it) => toPublication(side, it)));
  for (const it of outcomes) if (it.outcome === "accepted") meetMessage(side, it.message);
  return outcomes;
});

const leaseSteps = [
  call(6, "acknowledge", fc.array(lease, { minLength: 1, maxLength: 3 }), (side, leases) =>
    side.store.deliveries.acknowledge(
      leases.map((it) => toLease(side, it)),
      "someone",
    ),
  ),
  call(8, "reject", fc.record({ lease, delay_ms: maybe(offset_ms) }), (side, given) =>
    side.store.deliveries.reject(
      toLease(side, given.lease),
      "no disk",
      defined({ actor: "someone", delay_ms: given.delay_ms }),
    ),
  ),
  call(2, "extend", fc.record({ lease, lease_ms: fc.constantFrom(1, 4_000) }), (side, given) =>
    side.store.deliveries.extend(toLease(side, given.lease), given.lease_ms, "someone"),
  ),
  call(1, "record", fc.record({ lease, event: evidence, reason: maybe(fc.constant("tmux"), 2) }), (side, given) =>
    side.store.deliveries.record(
      toLease(side, given.lease),
      defined({ event: given.event, actor: "bridge", reason: given.reason }),
    ),
  ),
  call(2, "release", fc.array(reference, { maxLength: 3 }), (side, leases) =>
    side.store.deliveries.release(
      leases.map((it) => leaseAt(side, it).lease_id),
      "connection closed",
    ),
  ),
];

const deliverySteps = [
  publish,
  call(
    14,
    "claim",
    fc.record({
      agent_id: agent,
      limit,
      lease_ms: fc.constantFrom(1_000, 5_000, 30_000),
      min_priority: maybe(fc.constantFrom(...priorities), 8),
      when: maybe(fc.constantFrom(...moments), 8),
    }),
    async ({ store, leases }, claim) => {
      const outcome = await store.deliveries.claim(defined({ ...claim, actor: claim.agent_id }));
      if (outcome.outcome === "claimed") {
        leases.push(...outcome.deliveries.map(({ message, lease_id }) => ({ message_id: message.id, lease_id })));
      }
      return outcome;
    },
  ),
  ...leaseSteps,
  // A store may carry these out together; what they do must be what they would do one after the other.
  atOnce(3, [publish]),
  atOnce(3, leaseSteps),
  call(8, "sweep", limit, (side, most) => side.store.deliveries.sweep(most)),
  call(
    2,
    "redrive",
    fc.record({ agent_id: maybe(agent), messages: maybe(fc.array(reference, { maxLength: 3 })), limit }),
    (side, { agent_id, messages, limit: most }) => {
      const message_ids = messages?.map((it) => messageAt(side, it));
      return side.store.deliveries.redrive(defined({ limit: most, actor: "operator", agent_id, message_ids }));
    },
  ),
  call(1, "retire", agent, (side, agent_id) => side.store.deliveries.retire(agent_id, `${agent_id} left`, "operator")),
];

const historySteps = [
  call(2, "message", reference, (side, it) => side.store.history.message(messageAt(side, it))),
  call(4, "search", searchInput, (side, input) =>
    readPages((after) => side.store.history.search(toSearch(side, input, after))),
  ),
  call(2, "inbox", agent, (side, agent_id) => side.store.history.inbox(agent_id)),
  call(1, "deadLetters", fc.record({ agent_id: maybe(agent), limit }), (side, query) =>
    readPages((after) => side.store.history.deadLetters(defined({ ...query, after }))),
  ),
  call(
    2,
    "import",
    fc.array(fc.record({ row: newMessage, ahead_s: fc.integer({ min: -3, max: 1 }) }), { minLength: 1, maxLength: 2 }),
    async (side, rows) => {
      const imports = rows.map(({ row, ahead_s }) => ({
        ...toPublication(side, { ...row, reply_to: undefined, idempotency_key: undefined }),
        timestamp_ms: side.clock.now() + ahead_s * 1_000,
      }));
      const imported = await side.store.history.import(imports);
      for (const { id } of imports) {
        const known = await side.store.history.message(id);
        if (known) meetMessage(side, known);
      }
      return imported;
    },
  ),
  call(1, "prune", fc.record({ ago_s: fc.nat(20), limit }), (side, { ago_s, limit: most }) =>
    side.store.history.prune(side.clock.now() - ago_s * 1_000, most),
  ),
  call(2, "events", fc.record({ after: fc.nat(60), limit }), (side, { after, limit: most }) =>
    side.store.events.events(after, most),
  ),
  call(1, "status", fc.constant("now"), (side) => readStatus(side)),
];

const isSealed = fc.constant(true as const);
const conversationSteps = [
  call(
    1,
    "open",
    fc.record({ participants: fc.array(agent, { minLength: 1, maxLength: 3 }), sealed: maybe(isSealed, 2) }),
    async (side, { participants, sealed }) => {
      const id = makeId(side) as ConversationId;
      side.conversations.push(id);
      return side.store.conversations.open({ id, participants, sealed, actor: "someone" });
    },
  ),
  call(1, "conversation", reference, (side, it) => side.store.conversations.conversation(conversationAt(side, it))),
  call(
    1,
    "conversations",
    fc.record({ participant: maybe(agent), status: maybe(conversationStatus), limit }),
    readConversations,
  ),
  call(2, "changeStatus", fc.record({ conversation: reference, status: conversationStatus }), (side, given) =>
    side.store.conversations.changeStatus(conversationAt(side, given.conversation), given.status, "someone"),
  ),
];

const fleetSteps = [
  call(
    2,
    "putAgent",
    fc.record({
      agent_id: agentName,
      aliases: maybe(fc.array(agentName, { maxLength: 2 }), 2),
      groups: maybe(fc.subarray(["crew", "night"], { minLength: 1 })),
      capabilities: maybe(fc.subarray([{ name: "rust", level: 2 }, { name: "go" }])),
      keys: maybe(fc.constantFrom(shapeOfKeys("A"), shapeOfKeys("B")), 2),
    }),
    (side, said) => side.store.fleet.putAgent(defined(said), "someone", "other keys"),
  ),
  call(1, "agent", agentName, (side, it) => side.store.fleet.agent(it)),
  call(1, "agents", fc.constantFrom({}, { group: "crew" }, { capability: "rust" }), (side, filter) =>
    side.store.fleet.agents(filter),
  ),
  call(
    1,
    "touchAgent",
    fc.record({ agent_id: agentName, status: maybe(fc.constantFrom("busy", "draining"), 2), load: maybe(fc.nat(2)) }),
    (side, said) => side.store.fleet.touchAgent(defined(said)),
  ),
  call(1, "removeAgent", agentName, (side, agent_id) => side.store.fleet.removeAgent(agent_id, "operator")),
];

const clockSteps = [
  time(7, "advance", (clock, ms) => clock.advance(ms)),
  time(1, "set the wall clock forward", (clock, ms) => clock.setWall(clock.now() + ms)),
  time(1, "set the wall clock back", (clock, ms) => clock.setWall(clock.now() - ms)),
];

/** Histories over few agents, keys and texts, so that calls meet each other; of everything that the ports offer. */
export function histories(maxLength: number): fc.Arbitrary<Step[]> {
  const any = fc.oneof(...deliverySteps, ...historySteps, ...conversationSteps, ...fleetSteps, ...clockSteps);
  // Unbiased: the library would begin with histories too short for anything to happen in.
  return fc.noBias(fc.array(any, { minLength: 1, maxLength, size: "max" }));
}

function call<T>(
  weight: number,
  name: string,
  input: fc.Arbitrary<T>,
  play: (side: Side, input: T) => Promise<unknown>,
): fc.WeightedArbitrary<Step> {
  const toStep = (given: T) => ({
    play: (side: Side) => play(side, given),
    [fc.toStringMethod]: () => `${name}(${JSON.stringify(given)})`,
  });
  return { weight, arbitrary: input.map(toStep) };
}

function time(weight: number, name: string, move: (clock: TestClock, ms: number) => void): fc.WeightedArbitrary<Step> {
  const toStep = (ms: number) => ({
    move: (clock: TestClock) => move(clock, ms),
    [fc.toStringMethod]: () => `${name}(${ms})`,
  });
  return { weight, arbitrary: offset_ms.map(toStep) };
}

function atOnce(weight: number, steps: fc.WeightedArbitrary<Step>[]): fc.WeightedArbitrary<Step> {
  const toStep = (given: Step[]) => ({
    async play(side: Side) {
      const answers = await Promise.all(given.map((it) => "play" in it && it.play(side)));
      return answers.map(withoutLaterStatus);
    },
    [fc.toStringMethod]: () => `at once [${given.map((it) => it[fc.toStringMethod]()).join(", ")}]`,
  });
  return { weight, arbitrary: fc.array(fc.oneof(...steps), { minLength: 2, maxLength: 4 }).map(toStep) };
}

/** Whose lease had ended is told how the delivery stands when the answer is made, which may be after calls made at once with it. */
function withoutLaterStatus(answer: unknown): unknown {
  const isLost =
    typeof answer === "object" && answer !== null && "outcome" in answer && answer.outcome === "lease_lost";
  return isLost ? { outcome: "lease_lost" } : answer;
}
