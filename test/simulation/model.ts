import type { Import, Publication } from "../../src/app/ports.ts";
import type { Clock } from "../../src/base/clock.ts";
import { uuidV7Time } from "../../src/base/uuid.ts";
import type { ConversationStatus } from "../../src/contract/conversations.ts";
import {
  type AgentId,
  type ConversationId,
  type DeliveryState,
  type DeliveryStatus,
  type LeaseId,
  type MessageId,
  priorities,
} from "../../src/contract/messages.ts";
import type { DeliveryPolicy } from "../../src/core/messaging/policy.ts";

/*
 * What should be: the delivery contract once more, in the plainest terms and written from its text, not from any store.
 * The simulation asks it before it believes an answer.
 */

/** What changes about a delivery. */
type Standing = {
  state: DeliveryState;
  attempt: number;
  lease_id: LeaseId | undefined;
  /** Elapsed time at which the lease ends. */
  lease_ends_ms: number;
  not_before_wall_ms: number;
  not_before_elapsed_ms: number;
  expires_at_ms: number | undefined;
};

export type ModelDelivery = Standing & {
  readonly message: ModelMessage;
  readonly agent_id: AgentId;
  readonly leases: Set<LeaseId>;
};

export type ModelMessage = {
  readonly publication: Publication;
  readonly conversation_id: ConversationId;
  /** Order of acceptance. */
  readonly seq: number;
  readonly accepted_ms: number;
  readonly readable_ms: number;
  readonly reply_depth: number;
  readonly deliveries: ModelDelivery[];
};

type ModelConversation = {
  readonly id: ConversationId;
  /** Found again by the next message between the same agents that names no conversation. */
  readonly implicit: boolean;
  participants: readonly AgentId[];
  status: ConversationStatus;
};

export type Model = {
  readonly clock: Clock;
  readonly policy: DeliveryPolicy;
  readonly messages: Map<MessageId, ModelMessage>;
  readonly conversations: Map<ConversationId, ModelConversation>;
  /** Every delivery to an agent, in order of acceptance. */
  readonly inboxes: Map<AgentId, ModelDelivery[]>;
  /** Sender and idempotency key → the latest message accepted with it. */
  readonly keys: Map<string, ModelMessage>;
  /**
   * How deliveries stood before changes that nobody waits for (claims, the ends of leases, what falls due), the latest
   * first, since something was last written for sure: a crash may undo as many of those as it likes, the latest first.
   */
  readonly unwritten: Map<ModelDelivery, Standing[]>;
  /** Ids older than this may have been forgotten. */
  kept_since_ms: number;
  /** Messages accepted so far. */
  accepted: number;
};

/** @param clock The clock that the store under judgement has, for it judges times by its own. */
export function createModel(clock: Clock, policy: DeliveryPolicy): Model {
  return {
    clock,
    policy,
    messages: new Map(),
    conversations: new Map(),
    inboxes: new Map(),
    keys: new Map(),
    unwritten: new Map(),
    kept_since_ms: 0,
    accepted: 0,
  };
}

/** What was promised and what happened instead. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** @throws Violation unless both say the same. */
export function expectSame(actual: unknown, expected: unknown, what: string): void {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Violation(`${what}: expected ${e}, got ${a}`);
}

export function deliveriesOf({ inboxes }: Model, agent_id: AgentId): readonly ModelDelivery[] {
  return inboxes.get(agent_id) ?? [];
}

export function allDeliveries({ messages }: Model): ModelDelivery[] {
  return [...messages.values()].flatMap((it) => it.deliveries);
}

export const openStates: readonly DeliveryState[] = ["ready", "scheduled", "leased", "held"];

export function depthOf(model: Model, agent_id: AgentId): number {
  return deliveriesOf(model, agent_id).filter((it) => openStates.includes(it.state)).length;
}

export function hasExpired(model: Model, { expires_at_ms }: ModelDelivery): boolean {
  return expires_at_ms !== undefined && expires_at_ms <= model.clock.now();
}

/** Rank from 0 (urgent), one better after a long wait. */
export function rankNow({ clock, policy }: Model, { message }: ModelDelivery): number {
  const own = priorities.indexOf(message.publication.priority);
  const aged = policy.aging_ms !== undefined && clock.now() - message.readable_ms > policy.aging_ms;
  return aged && own > 0 ? own - 1 : own;
}

/** Which outcome a publication must have, by the contract; applies nothing. */
export type Expected =
  | { readonly outcome: "duplicate"; readonly first: ModelMessage }
  | { readonly outcome: "accepted"; readonly conversation_id: ConversationId | undefined; readonly reply_depth: number }
  | {
      readonly outcome:
        | "inbox_full"
        | "conversation_not_found"
        | "conversation_closed"
        | "reply_to_not_found"
        | "reply_to_elsewhere"
        | "id_expired";
    };

export function expectedOutcome(model: Model, publication: Publication): Expected {
  const first = firstWith(model, publication);
  if (first) return { outcome: "duplicate", first };
  if (!publication.fresh_id && uuidV7Time(publication.id) < model.kept_since_ms) return { outcome: "id_expired" };
  const answered = publication.reply_to && model.messages.get(publication.reply_to);
  if (publication.reply_to && !answered) return { outcome: "reply_to_not_found" };
  const refused = refusedByConversation(model, publication, answered);
  if (refused) return refused;
  const isFull = publication.recipients.some((it) => depthOf(model, it) >= model.policy.inbox_depth);
  if (isFull && !publication.notice) return { outcome: "inbox_full" };
  return {
    outcome: "accepted",
    conversation_id: publication.conversation_id ?? answered?.conversation_id ?? reusable(model, publication),
    reply_depth: replyDepth(model, answered),
  };
}

function firstWith({ keys, messages, clock, policy }: Model, publication: Publication): ModelMessage | undefined {
  const byKey = publication.idempotency_key ? keys.get(keyOf(publication)) : undefined;
  if (byKey && clock.now() - byKey.accepted_ms <= policy.idempotency_ms) return byKey;
  return messages.get(publication.id);
}

function keyOf({ from_agent, idempotency_key }: Publication): string {
  return `${from_agent} ${idempotency_key}`;
}

function refusedByConversation(
  { conversations }: Model,
  { conversation_id }: Publication,
  answered: ModelMessage | undefined,
): Expected | undefined {
  if (conversation_id && answered && answered.conversation_id !== conversation_id) {
    return { outcome: "reply_to_elsewhere" };
  }
  const named = conversation_id ?? answered?.conversation_id;
  if (named === undefined) return undefined;
  const conversation = conversations.get(named);
  if (!conversation) return { outcome: "conversation_not_found" };
  return conversation.status === "closed" ? { outcome: "conversation_closed" } : undefined;
}

function reusable({ conversations }: Model, { participants }: Publication): ConversationId | undefined {
  const between = [...conversations.values()].filter((it) => String(it.participants) === String(participants));
  return between.findLast((it) => it.implicit && it.status === "active")?.id;
}

function replyDepth({ clock, policy }: Model, answered: ModelMessage | undefined): number {
  const isQuick = answered && clock.now() - answered.readable_ms <= policy.loop.window_ms;
  return isQuick ? answered.reply_depth + 1 : 0;
}

/** Notes an accepted message. @returns The deliveries that can be claimed at once. */
export function accept(
  model: Model,
  publication: Publication,
  conversation_id: ConversationId,
  reply_depth: number,
): AgentId[] {
  const now = model.clock.now();
  const { slow_after, hold_after, base_delay_ms, max_delay_ms } = model.policy.loop;
  const isHeld = !publication.notice && reply_depth >= hold_after;
  const isSlowed = !publication.notice && !isHeld && reply_depth >= slow_after;
  const delay_ms = isSlowed ? Math.min(max_delay_ms, base_delay_ms * 2 ** (reply_depth - slow_after)) : 0;
  const available_ms = Math.max(now + delay_ms, publication.deliver_at_ms ?? now);
  const state = isHeld ? "held" : available_ms > now ? "scheduled" : "ready";
  const message: ModelMessage = {
    publication,
    conversation_id,
    seq: ++model.accepted,
    accepted_ms: now,
    readable_ms: available_ms,
    reply_depth,
    deliveries: [],
  };
  for (const agent_id of publication.recipients) {
    const delivery: ModelDelivery = {
      message,
      agent_id,
      leases: new Set(),
      state,
      attempt: 0,
      lease_id: undefined,
      lease_ends_ms: 0,
      not_before_wall_ms: publication.deliver_at_ms ?? Number.NEGATIVE_INFINITY,
      not_before_elapsed_ms: delay_ms > 0 ? model.clock.elapsed() + delay_ms : Number.NEGATIVE_INFINITY,
      expires_at_ms: publication.expires_at_ms,
    };
    message.deliveries.push(delivery);
    model.inboxes.set(agent_id, [...deliveriesOf(model, agent_id), delivery]);
  }
  model.messages.set(publication.id, message);
  if (publication.idempotency_key) model.keys.set(keyOf(publication), message);
  enterConversation(model, publication, conversation_id);
  return state === "ready" ? [...publication.recipients] : [];
}

function enterConversation({ conversations }: Model, { participants }: Publication, id: ConversationId): void {
  const known = conversations.get(id);
  if (!known) conversations.set(id, { id, implicit: true, participants, status: "active" });
  else {
    known.status = "active";
    known.participants = [...new Set([...known.participants, ...participants])].sort();
  }
}

/** Notes a message that has been delivered elsewhere. @returns False where it is known already. */
export function acceptImport(model: Model, message: Import): boolean {
  if (model.messages.has(message.id)) return false;
  const conversation_id = reusable(model, message) ?? message.fresh_conversation_id;
  accept(model, message, conversation_id, 0);
  const known = model.messages.get(message.id);
  for (const delivery of known?.deliveries ?? []) delivery.state = "acknowledged";
  if (known) model.messages.set(message.id, { ...known, ...timesOf(message) });
  return true;
}

function timesOf({ timestamp_ms }: Import): Pick<ModelMessage, "accepted_ms" | "readable_ms"> {
  return { accepted_ms: timestamp_ms, readable_ms: timestamp_ms };
}

/** What may be forgotten by now, the event log permitting: old, done with, and no key to be remembered. */
export function forgettable(model: Model, before_ms: number): ModelMessage[] {
  const { idempotency_ms } = model.policy;
  return [...model.messages.values()].filter(({ accepted_ms, deliveries, publication }) => {
    const isKeyKept = publication.idempotency_key && model.clock.now() - accepted_ms <= idempotency_ms;
    return accepted_ms < before_ms && !isKeyKept && deliveries.every((it) => !openStates.includes(it.state));
  });
}

/** To be called before a change that a crash may undo. */
export function mayBeUndone({ unwritten }: Model, delivery: ModelDelivery): void {
  const { state, attempt, lease_id, lease_ends_ms, not_before_wall_ms, not_before_elapsed_ms, expires_at_ms } =
    delivery;
  const before = { state, attempt, lease_id, lease_ends_ms, not_before_wall_ms, not_before_elapsed_ms, expires_at_ms };
  unwritten.set(delivery, [before, ...(unwritten.get(delivery) ?? [])]);
}

/**
 * Takes over what a crash has made of a delivery. A lease has ended; the attempt may or may not count.
 *
 * @throws Violation where it is not as it was at some moment since the last thing that was surely written.
 */
export function takeOver({ unwritten }: Model, delivery: ModelDelivery, found: DeliveryStatus | undefined): void {
  const stood = [delivery, ...(unwritten.get(delivery) ?? [])].find(({ state, attempt }) => {
    if (state !== "leased") return found?.state === state && found.attempt === attempt;
    return found?.state === "ready" && (found.attempt === attempt || found.attempt === attempt - 1);
  });
  const what = `${delivery.message.publication.id}, ${delivery.state} for ${delivery.agent_id}, attempt ${delivery.attempt}`;
  if (!found || !stood) throw new Violation(`${what} became ${found?.state}, attempt ${found?.attempt}, by a crash`);
  const lease = stood.state === "acknowledged" ? stood.lease_id : undefined;
  Object.assign(delivery, { ...stood, state: found.state, attempt: found.attempt, lease_id: lease });
}

export function forget({ messages, inboxes }: Model, { publication, deliveries }: ModelMessage): void {
  messages.delete(publication.id);
  for (const delivery of deliveries) {
    const left = inboxes.get(delivery.agent_id)?.filter((it) => it !== delivery);
    inboxes.set(delivery.agent_id, left ?? []);
  }
}
