import type { Import, Publication, PublishOutcome } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import { uuidV7Time } from "../../base/uuid.ts";
import type { ConversationId, Message } from "../../contract/messages.ts";
import { judgeLoop, type LoopVerdict, replyDepth } from "../../core/messaging/policy.ts";
import { changeStatus, findImplicit, join, keep, openConversation } from "./conversations.ts";
import {
  allDeliveries,
  inState,
  type MemoryState,
  noteStep,
  type Standing,
  type StoredConversation,
  type StoredMessage,
  toMessage,
} from "./state.ts";

/** Accepts one message, or says why not and changes nothing. */
export function publishOne(state: MemoryState, publication: Publication): PublishOutcome {
  const first = findFirst(state, publication);
  if (first) return { outcome: "duplicate", message: toMessage(first) };
  const refusal =
    refuseId(state, publication) ?? refuseConversation(state, publication) ?? refuseFull(state, publication);
  if (refusal) return refusal;

  const now = state.clock.now();
  const conversation = enterConversation(state, publication);
  const message = store(state, publication, conversation, judge(state, publication));
  keep(state, { ...conversation, last_activity: toTimestamp(now) });
  if (publication.idempotency_key) state.keys.set(keyOf(publication), message);
  noteAcceptance(state, message, publication);
  state.counts.accepted += 1;
  const ready = inState(message.deliveries, "ready").map((it) => it.agent_id);
  return { outcome: "accepted", message: toMessage(message), ready };
}

/** Stores one message as acknowledged. @returns False where its id is known already. */
export function importOne(state: MemoryState, message: Import): boolean {
  if (state.messages.has(message.id)) return false;
  const at_ms = message.timestamp_ms;
  const conversation = findImportConversation(state, message);
  const last_activity = [conversation.last_activity, toTimestamp(at_ms)].sort()[1] ?? conversation.last_activity;
  keep(state, { ...conversation, last_activity });
  const stored: StoredMessage = {
    said: sayingOf(message, conversation.id, at_ms),
    position: takePosition(state, wallPosition(at_ms)),
    accepted_ms: at_ms,
    readable_ms: at_ms,
    reply_depth: 0,
    idempotency_key: undefined,
    deliveries: [],
  };
  addDeliveries(stored, message, { state: "acknowledged" });
  state.messages.set(message.id, stored);
  for (const delivery of stored.deliveries) noteStep(state, delivery, { event: "imported", actor: message.actor });
  return true;
}

type Sent = Pick<Publication, "id" | "from_agent" | "idempotency_key">;

function keyOf({ from_agent, idempotency_key }: Sent): string {
  return `${from_agent} ${idempotency_key}`;
}

/** The message that the key, while it is remembered, or else the id was first used for. */
export function findFirst(state: MemoryState, sent: Sent): StoredMessage | undefined {
  const byKey = sent.idempotency_key ? state.keys.get(keyOf(sent)) : undefined;
  return byKey && isKeyRemembered(state, byKey) ? byKey : state.messages.get(sent.id);
}

/** Whether the idempotency key that this message was sent with, if any, still answers with it. */
export function isKeyRemembered(state: MemoryState, message: StoredMessage): boolean {
  const age_ms = state.clock.now() - message.accepted_ms;
  return message.idempotency_key !== undefined && age_ms <= state.policy.idempotency_ms;
}

function refuseId({ kept_since_ms }: MemoryState, { id, fresh_id }: Publication): PublishOutcome | undefined {
  if (fresh_id || kept_since_ms === undefined || uuidV7Time(id) >= kept_since_ms) return undefined;
  return { outcome: "id_expired", kept_since_ms };
}

function refuseConversation(state: MemoryState, publication: Publication): PublishOutcome | undefined {
  const { reply_to, conversation_id: named } = publication;
  const answered = reply_to && state.messages.get(reply_to);
  if (reply_to && !answered) return { outcome: "reply_to_not_found", message_id: reply_to };
  const conversation_id = answered?.said.conversation_id ?? named;
  if (conversation_id === undefined) return undefined;
  const conversation = state.conversations.get(conversation_id);
  if (isOutsider(publication, conversation)) return notThere(publication, conversation_id);
  if (named && named !== conversation_id) return { outcome: "reply_to_elsewhere", conversation_id };
  if (!conversation) return { outcome: "conversation_not_found", conversation_id };
  return refuseEntry(conversation, publication);
}

function refuseEntry({ id, status, sealed }: StoredConversation, publication: Publication): PublishOutcome | undefined {
  if (sealed && publication.sealed === undefined) return { outcome: "sealed_only", conversation_id: id };
  return status === "closed" ? { outcome: "conversation_closed", conversation_id: id } : undefined;
}

/** Whether the sender may only send into conversations of its own, and this is none. */
function isOutsider(
  { from_agent, as_participant }: Publication,
  conversation: StoredConversation | undefined,
): boolean {
  return as_participant === true && !conversation?.participants.includes(from_agent);
}

function notThere({ reply_to }: Publication, conversation_id: ConversationId): PublishOutcome {
  if (reply_to) return { outcome: "reply_to_not_found", message_id: reply_to };
  return { outcome: "conversation_not_found", conversation_id };
}

function refuseFull(state: MemoryState, { recipients, notice }: Publication): PublishOutcome | undefined {
  if (notice) return undefined;
  const undelivered = inState(allDeliveries(state), "ready", "scheduled", "leased", "held");
  for (const agent_id of recipients) {
    const depth = undelivered.filter((it) => it.agent_id === agent_id).length;
    if (depth >= state.policy.inbox_depth) return { outcome: "inbox_full", agent_id, depth };
  }
  return undefined;
}

function enterConversation(state: MemoryState, publication: Publication): StoredConversation {
  const { reply_to, conversation_id, participants, fresh_conversation_id, actor } = publication;
  const answered = reply_to && state.messages.get(reply_to);
  const id = answered?.said.conversation_id ?? conversation_id;
  const named = id && state.conversations.get(id);
  if (named) return join(state, changeStatus(state, named, "active", actor), publication);
  return (
    findImplicit(state, participants) ??
    openConversation(state, { id: fresh_conversation_id, participants, actor, implicit: true })
  );
}

function findImportConversation(state: MemoryState, message: Import): StoredConversation {
  const { conversation_id, participants, actor, timestamp_ms: at_ms } = message;
  if (conversation_id === undefined) {
    const id = message.fresh_conversation_id;
    return (
      findImplicit(state, participants) ?? openConversation(state, { id, participants, actor, at_ms, implicit: true })
    );
  }
  const known = state.conversations.get(conversation_id);
  if (known) return join(state, known, message);
  return openConversation(state, { id: conversation_id, participants, actor, at_ms, implicit: false });
}

type Judgement = { readonly reply_depth: number; readonly verdict: LoopVerdict };

function judge(state: MemoryState, { reply_to, notice }: Publication): Judgement {
  const answered = reply_to && state.messages.get(reply_to);
  const reply_depth = answered ? replyDepth(state.policy.loop, answered, state.clock.now()) : 0;
  return { reply_depth, verdict: notice ? { verdict: "pass" } : judgeLoop(state.policy.loop, reply_depth) };
}

function store(
  state: MemoryState,
  publication: Publication,
  conversation: StoredConversation,
  { reply_depth, verdict }: Judgement,
): StoredMessage {
  const now = state.clock.now();
  const delay_ms = verdict.verdict === "slow" ? verdict.delay_ms : 0;
  const available_ms = Math.max(now + delay_ms, publication.deliver_at_ms ?? now);
  const position = takePosition(state, Math.max(state.last_message_position + 1, wallPosition(now)));
  state.last_message_position = position;
  const message: StoredMessage = {
    said: sayingOf(publication, conversation.id, now),
    position,
    accepted_ms: now,
    readable_ms: available_ms,
    reply_depth,
    idempotency_key: publication.idempotency_key,
    deliveries: [],
  };
  addDeliveries(message, publication, firstStanding(state, publication, verdict));
  state.messages.set(publication.id, message);
  return message;
}

function firstStanding(state: MemoryState, { deliver_at_ms }: Publication, verdict: LoopVerdict): Standing {
  if (verdict.verdict === "hold") return { state: "held", reason: verdict.reason };
  const now = state.clock.now();
  const delay_ms = verdict.verdict === "slow" ? verdict.delay_ms : 0;
  const available_at_wall_ms = Math.max(now + delay_ms, deliver_at_ms ?? now);
  if (available_at_wall_ms <= now) return { state: "ready" };
  return {
    state: "scheduled",
    reason: verdict.verdict === "slow" ? verdict.reason : `not before ${toTimestamp(available_at_wall_ms)}`,
    available_at_wall_ms,
    not_before_wall_ms: deliver_at_ms ?? Number.NEGATIVE_INFINITY,
    not_before_elapsed_ms: state.clock.elapsed() + delay_ms,
  };
}

function addDeliveries(message: StoredMessage, { recipients, expires_at_ms }: Publication, standing: Standing): void {
  for (const agent_id of recipients) {
    message.deliveries.push({ message, agent_id, lease_ids: [], standing, attempt: 0, expires_at_ms, aged: false });
  }
}

function sayingOf(
  publication: Publication,
  conversation_id: ConversationId,
  timestamp_ms: number,
): Omit<Message, "acknowledged"> {
  const { to, reply_to, deliver_at_ms, expires_at_ms } = publication;
  return defined({
    id: publication.id,
    from_agent: publication.from_agent,
    to_agent: publication.to_agent,
    content: publication.content,
    priority: publication.priority,
    timestamp: toTimestamp(timestamp_ms),
    conversation_id,
    message_type: publication.message_type,
    metadata: publication.metadata,
    when: publication.when,
    offline: publication.offline,
    provenance: publication.provenance,
    to,
    reply_to,
    sealed: publication.sealed,
    deliver_at: deliver_at_ms === undefined ? undefined : toTimestamp(deliver_at_ms),
    expires_at: expires_at_ms === undefined ? undefined : toTimestamp(expires_at_ms),
  });
}

function noteAcceptance(state: MemoryState, { deliveries }: StoredMessage, { actor, rerouted }: Publication): void {
  for (const delivery of deliveries) noteStep(state, delivery, { event: "accepted", actor });
  for (const delivery of inState(deliveries, "scheduled", "held")) {
    noteStep(state, delivery, { event: delivery.standing.state, actor, reason: delivery.standing.reason });
  }
  if (rerouted === undefined) return;
  for (const delivery of deliveries) noteStep(state, delivery, { event: "rerouted", actor, reason: rerouted });
}

const year2000_ms = Date.UTC(2000, 0, 1);
/** Positions stay below 2^53, and so exact, until the year 2069. */
const last_ms = 2 ** 41 - 2;
const perMillisecond = 4_096;

function wallPosition(wall_ms: number): number {
  return Math.min(Math.max(0, wall_ms - year2000_ms), last_ms) * perMillisecond;
}

/** Takes the first free position from there on. */
function takePosition(state: MemoryState, from: number): number {
  let position = from;
  while (state.positions.has(position)) position += 1;
  state.positions.add(position);
  return position;
}
