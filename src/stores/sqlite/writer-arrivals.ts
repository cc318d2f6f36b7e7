import { toTimestamp } from "../../base/time.ts";
import { uuidV7Time } from "../../base/uuid.ts";
import type { ConversationId } from "../../contract/messages.ts";
import { judgeLoop, type LoopVerdict, replyDepth } from "../../core/messaging/policy.ts";
import { positionAt, positionSkewMs } from "../../core/messaging/positions.ts";
import type { FirstStanding, WireImport, WirePublication, WrittenPublication } from "./protocol.ts";
import { type MessageRow, messageColumns } from "./rows.ts";
import { prepare } from "./statement.ts";
import type { OpenedConversation } from "./writer-conversations.ts";
import { enterAsHistory, enterConversation } from "./writer-entering.ts";
import { createInserts, type Inserts } from "./writer-inserts.ts";
import { createFreePositions } from "./writer-positions.ts";
import type { WriterState } from "./writer-state.ts";

/** The arrival of messages, in the writer's transaction: what is refused, what is entered, what the ledger says. */
export type Arrivals = {
  publish(publication: WirePublication, times: Times): WrittenPublication;
  /** @returns False where the id is known already. */
  import(message: WireImport, now_ms: number): boolean;
  /** What was learnt of which positions are taken no longer holds. */
  forgetPositions(): void;
  /** @param kept_since_ms Undefined: nothing was ever forgotten. */
  setKeptSince(kept_since_ms: number | undefined): void;
};

type Times = { readonly now_ms: number; readonly steady_ms: number };

/** What an answer needs to know of the message that it answers. */
type Answered = {
  readonly conversation_id: ConversationId;
  readonly reply_depth: number;
  readonly readable_ms: number;
};

export function createArrivals(state: WriterState, kept_since: number | undefined): Arrivals {
  const sql = statements(state);
  const inserts = createInserts(state.db, state.cipher);
  const positions = createFreePositions(state.db);
  let kept_since_ms = kept_since;

  function findFirst({ from_agent, idempotency_key, id }: WirePublication, now_ms: number): MessageRow | undefined {
    const keyed = idempotency_key === undefined ? undefined : sql.byKey.get(from_agent, idempotency_key);
    const isRemembered = keyed && now_ms - Date.parse(keyed.timestamp) <= state.policy.idempotency_ms;
    const first = isRemembered ? keyed : sql.positionOf.get(id);
    return first && sql.byPosition.get(first.position);
  }

  function refuse(publication: WirePublication, answered: Answered | undefined): WrittenPublication | undefined {
    if (!publication.fresh_id && kept_since_ms !== undefined && uuidV7Time(publication.id) < kept_since_ms) {
      return { outcome: "id_expired", kept_since_ms };
    }
    return refuseConversation(state, publication, answered) ?? refuseFull(state, publication);
  }

  function enter(publication: WirePublication, answered: Answered | undefined, times: Times): WrittenPublication {
    const { now_ms } = times;
    const reply_depth = answered ? replyDepth(state.policy.loop, answered, now_ms) : 0;
    const verdict: LoopVerdict = publication.notice ? { verdict: "pass" } : judgeLoop(state.policy.loop, reply_depth);
    const standing = firstStanding(publication, verdict, times);
    const conversation = enterConversation(state, publication, answered?.conversation_id, now_ms);
    const conversation_id = conversation.id;
    const position = positions.takeNext(Math.max(state.lastPublished() + 1, positionAt(now_ms)));
    const readable_ms = readableMs(publication, verdict, now_ms);
    inserts.message(publication, { position, conversation_id, timestamp_ms: now_ms, reply_depth, readable_ms });
    inserts.deliveries(publication, position, standing);
    noteArrival(state, publication, { position, now_ms, standing });
    state.conversations.setActivity(conversation, toTimestamp(now_ms));
    state.setLastPublished(position);
    state.noteSkew(positionSkewMs(position, now_ms));
    for (const agent_id of publication.recipients) state.changeDepth(agent_id, 1);
    return { outcome: "accepted", position, conversation_id, ...(standing && { standing }) };
  }

  return {
    publish(publication, times) {
      const first = findFirst(publication, times.now_ms);
      if (first) return { outcome: "duplicate", first };
      const answered = publication.reply_to === undefined ? undefined : sql.answered.get(publication.reply_to);
      return refuse(publication, answered) ?? enter(publication, answered, times);
    },

    import(message, now_ms) {
      if (sql.positionOf.get(message.id)) return false;
      enterHistory(state, { inserts, position: positions.takeAt(positionAt(message.timestamp_ms)) }, message, now_ms);
      return true;
    },

    forgetPositions: positions.forget,
    setKeptSince(value) {
      kept_since_ms = value;
    },
  };
}

function enterHistory(
  state: WriterState,
  { inserts, position }: { inserts: Inserts; position: number },
  message: WireImport,
  now_ms: number,
): void {
  const { timestamp_ms, recipients, actor } = message;
  const conversation = enterAsHistory(state, message, now_ms);
  // An import has no key: nobody will retry it by one.
  const { idempotency_key: _, ...keyless } = message;
  const place = { position, conversation_id: conversation.id, timestamp_ms, reply_depth: 0 };
  inserts.message(keyless, { ...place, readable_ms: timestamp_ms });
  inserts.acknowledgedDeliveries(message, position);
  for (const agent_id of recipients) {
    state.note({ event: "imported", at_ms: now_ms, message_position: position, agent_id, actor });
  }
  const timestamp = toTimestamp(timestamp_ms);
  if (timestamp > conversation.last_activity) state.conversations.setActivity(conversation, timestamp);
  state.noteSkew(positionSkewMs(position, timestamp_ms));
}

function refuseConversation(
  state: WriterState,
  publication: WirePublication,
  answered: Answered | undefined,
): WrittenPublication | undefined {
  const { reply_to, conversation_id: named } = publication;
  if (reply_to && !answered) return { outcome: "reply_to_not_found", message_id: reply_to };
  const conversation_id = answered?.conversation_id ?? named;
  if (conversation_id === undefined) return undefined;
  const conversation = state.conversations.byId(conversation_id);
  if (isOutsider(publication, conversation)) return notThere(publication, conversation_id);
  if (named && named !== conversation_id) return { outcome: "reply_to_elsewhere", conversation_id };
  if (!conversation) return { outcome: "conversation_not_found", conversation_id };
  return refuseEntry(conversation, publication);
}

function refuseEntry(
  { id, status, sealed }: OpenedConversation,
  publication: WirePublication,
): WrittenPublication | undefined {
  if (sealed && publication.sealed === undefined) return { outcome: "sealed_only", conversation_id: id };
  return status === "closed" ? { outcome: "conversation_closed", conversation_id: id } : undefined;
}

/** Whether the sender may only send into conversations of its own, and this is none. */
function isOutsider(
  { from_agent, as_participant }: WirePublication,
  conversation: OpenedConversation | undefined,
): boolean {
  return as_participant === true && !conversation?.participants.includes(from_agent);
}

function notThere({ reply_to }: WirePublication, conversation_id: ConversationId): WrittenPublication {
  if (reply_to) return { outcome: "reply_to_not_found", message_id: reply_to };
  return { outcome: "conversation_not_found", conversation_id };
}

function refuseFull(state: WriterState, { recipients, notice }: WirePublication): WrittenPublication | undefined {
  if (notice) return undefined;
  for (const agent_id of recipients) {
    const depth = state.depthOf(agent_id);
    if (depth >= state.policy.inbox_depth) return { outcome: "inbox_full", agent_id, depth };
  }
  return undefined;
}

/** When its reader can first have it. */
function readableMs({ deliver_at_ms }: WirePublication, verdict: LoopVerdict, now_ms: number): number {
  const delay_ms = verdict.verdict === "slow" ? verdict.delay_ms : 0;
  return Math.max(now_ms + delay_ms, deliver_at_ms ?? now_ms);
}

/** Undefined: ready at once. */
function firstStanding(
  publication: WirePublication,
  verdict: LoopVerdict,
  { now_ms, steady_ms }: Times,
): FirstStanding | undefined {
  if (verdict.verdict === "hold") return { state: "held", reason: verdict.reason };
  const available_ms = readableMs(publication, verdict, now_ms);
  if (available_ms <= now_ms) return undefined;
  const { deliver_at_ms } = publication;
  return {
    state: "scheduled",
    reason: verdict.verdict === "slow" ? verdict.reason : `not before ${toTimestamp(available_ms)}`,
    available_ms,
    ...(deliver_at_ms !== undefined && { not_before_ms: deliver_at_ms }),
    ...(verdict.verdict === "slow" && { delay_until_ms: steady_ms + verdict.delay_ms }),
  };
}

function noteArrival(
  state: WriterState,
  { recipients, actor, rerouted }: WirePublication,
  { position, now_ms, standing }: { position: number; now_ms: number; standing: FirstStanding | undefined },
): void {
  const common = { at_ms: now_ms, message_position: position, actor };
  const steps = [
    { event: "accepted" } as const,
    ...(standing ? [{ event: standing.state, reason: standing.reason }] : []),
    ...(rerouted === undefined ? [] : [{ event: "rerouted", reason: rerouted } as const]),
  ];
  for (const step of steps) for (const agent_id of recipients) state.note({ ...common, ...step, agent_id });
}

function statements({ db }: WriterState) {
  return {
    positionOf: prepare<{ position: number }>(db, "SELECT position FROM messages WHERE id = ?"),
    byPosition: prepare<MessageRow>(db, `SELECT ${messageColumns} FROM messages AS m WHERE m.position = ?`),
    byKey: prepare<{ position: number; timestamp: string }>(
      db,
      `SELECT position, timestamp FROM messages WHERE from_agent = ? AND idempotency_key = ?
         AND idempotency_key IS NOT NULL ORDER BY position DESC LIMIT 1`,
    ),
    answered: prepare<Answered>(db, "SELECT conversation_id, reply_depth, readable_ms FROM messages WHERE id = ?"),
  };
}
