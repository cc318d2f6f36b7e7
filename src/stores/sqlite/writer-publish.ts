import { toTimestamp } from "../../base/time.ts";
import { uuidV7Time } from "../../base/uuid.ts";
import type { ConversationId, MessageId } from "../../contract/messages.ts";
import { judgeLoop, type LoopVerdict, replyDepth } from "../../core/messaging/policy.ts";
import { positionAt, positionSkewMs } from "../../core/messaging/positions.ts";
import type { FirstStanding, WireImport, WirePublication, WrittenPublication } from "./protocol.ts";
import { type MessageRow, messageColumns, recipientsColumn } from "./rows.ts";
import { prepare } from "./statement.ts";
import type { OpenedConversation } from "./writer-conversations.ts";
import type { WriterState } from "./writer-state.ts";

/** Everything about the arrival of messages, in the writer's transaction. */
export type Arrivals = {
  publish(publication: WirePublication, times: { now_ms: number; steady_ms: number }): WrittenPublication;
  /** @returns False where the id is known already. */
  import(message: WireImport, now_ms: number): boolean;
  /** What was learnt of which positions are taken no longer holds. */
  forgetPositions(): void;
  setKeptSince(kept_since_ms: number | undefined): void;
};

type Answered = {
  readonly conversation_id: ConversationId;
  readonly reply_depth: number;
  readonly readable_ms: number;
};

export function createArrivals(state: WriterState, kept_since: number | undefined): Arrivals {
  const sql = statements(state);
  /** Time → the first position after it that may be free, as imports have found so far. */
  const freeFrom = new Map<number, number>();
  /** No message that has not come by `publish` stands behind this, so what comes next need not look whether it is free. */
  let lastTaken = sql.lastPosition.get()?.position ?? 0;
  let kept_since_ms = kept_since;

  function findFirst({ from_agent, idempotency_key, id }: WirePublication, now_ms: number): MessageRow | undefined {
    if (idempotency_key !== undefined) {
      const keyed = sql.byKey.get(from_agent, idempotency_key);
      const isRemembered = keyed && now_ms - Date.parse(keyed.timestamp) <= state.policy.idempotency_ms;
      if (isRemembered) return sql.byPosition.get(keyed.position);
    }
    const known = sql.positionOf.get(id);
    return known && sql.byPosition.get(known.position);
  }

  function refuse(publication: WirePublication, answered: Answered | undefined): WrittenPublication | undefined {
    const { id, reply_to, conversation_id: named } = publication;
    if (kept_since_ms !== undefined && uuidV7Time(id) < kept_since_ms) return { outcome: "id_expired", kept_since_ms };
    if (reply_to && !answered) return { outcome: "reply_to_not_found", message_id: reply_to };
    const conversation_id = answered?.conversation_id ?? named;
    if (conversation_id !== undefined) {
      if (named && named !== conversation_id) return { outcome: "reply_to_elsewhere", conversation_id };
      const conversation = state.conversations.byId(conversation_id);
      if (!conversation) return { outcome: "conversation_not_found", conversation_id };
      if (conversation.status === "closed") return { outcome: "conversation_closed", conversation_id };
    }
    return publication.notice ? undefined : refuseFull(state, publication);
  }

  function freePosition(from: number): number {
    let position = from;
    while (position <= lastTaken && sql.isTaken.get(position)) position += 1;
    return position;
  }

  return {
    publish(publication, { now_ms, steady_ms }) {
      const first = findFirst(publication, now_ms);
      if (first) return { outcome: "duplicate", first };
      const answered = publication.reply_to && sql.answered.get(publication.reply_to);
      const refusal = refuse(publication, answered || undefined);
      if (refusal) return refusal;

      const reply_depth = answered ? replyDepth(state.policy.loop, answered, now_ms) : 0;
      const verdict: LoopVerdict = publication.notice ? { verdict: "pass" } : judgeLoop(state.policy.loop, reply_depth);
      const standing = firstStanding(publication, verdict, { now_ms, steady_ms });
      const conversation = enterConversation(state, publication, answered?.conversation_id, now_ms);
      const position = freePosition(Math.max(state.lastPublished() + 1, positionAt(now_ms)));
      const readable_ms = readableMs(publication, verdict, now_ms);
      const place = { position, conversation_id: conversation.id, timestamp_ms: now_ms, reply_depth, readable_ms };
      sql.insertMessage(publication, place);
      sql.insertDeliveries(publication, position, standing);
      noteArrival(state, publication, { position, now_ms, standing });
      state.conversations.setActivity(conversation, toTimestamp(now_ms));
      state.setLastPublished(position);
      lastTaken = Math.max(lastTaken, position);
      state.noteSkew(positionSkewMs(position, now_ms));
      for (const agent_id of publication.recipients) state.changeDepth(agent_id, 1);
      return { outcome: "accepted", position, conversation_id: conversation.id, ...(standing && { standing }) };
    },

    import(message, now_ms) {
      if (sql.positionOf.get(message.id)) return false;
      const { timestamp_ms } = message;
      const conversation = enterAsHistory(state, message, now_ms);
      const start = positionAt(timestamp_ms);
      const position = freePosition(freeFrom.get(start) ?? start);
      freeFrom.set(start, position + 1);
      lastTaken = Math.max(lastTaken, position);
      const place = {
        position,
        conversation_id: conversation.id,
        timestamp_ms,
        reply_depth: 0,
        readable_ms: timestamp_ms,
      };
      // An import has no key: nobody will retry it by one.
      const { idempotency_key: _, ...keyless } = message;
      sql.insertMessage(keyless, place);
      for (const [recipient, agent_id] of message.recipients.entries()) {
        sql.insertDelivery.run(position, recipient, agent_id, "acknowledged", null, null, null, null, null, 0);
        const { actor } = message;
        state.note({ event: "imported", at_ms: now_ms, message_position: position, agent_id, actor });
      }
      const timestamp = toTimestamp(timestamp_ms);
      if (timestamp > conversation.last_activity) state.conversations.setActivity(conversation, timestamp);
      state.noteSkew(positionSkewMs(position, timestamp_ms));
      return true;
    },

    forgetPositions() {
      freeFrom.clear();
    },

    setKeptSince(value) {
      kept_since_ms = value;
    },
  };
}

function refuseFull(state: WriterState, { recipients }: WirePublication): WrittenPublication | undefined {
  for (const agent_id of recipients) {
    const depth = state.depthOf(agent_id);
    if (depth >= state.policy.inbox_depth) return { outcome: "inbox_full", agent_id, depth };
  }
  return undefined;
}

function slownessMs(verdict: LoopVerdict): number {
  return verdict.verdict === "slow" ? verdict.delay_ms : 0;
}

/** When its reader can first have it. */
function readableMs({ deliver_at_ms }: WirePublication, verdict: LoopVerdict, now_ms: number): number {
  return Math.max(now_ms + slownessMs(verdict), deliver_at_ms ?? now_ms);
}

function firstStanding(
  publication: WirePublication,
  verdict: LoopVerdict,
  { now_ms, steady_ms }: { now_ms: number; steady_ms: number },
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
  for (const agent_id of recipients) state.note({ ...common, event: "accepted", agent_id });
  if (standing) {
    for (const agent_id of recipients)
      state.note({ ...common, event: standing.state, agent_id, reason: standing.reason });
  }
  if (rerouted !== undefined) {
    for (const agent_id of recipients) state.note({ ...common, event: "rerouted", agent_id, reason: rerouted });
  }
}

/** The conversation of a message that is going to be accepted: the named one, the one between these, or a new one. */
function enterConversation(
  state: WriterState,
  publication: WirePublication,
  answered: ConversationId | undefined,
  now_ms: number,
): OpenedConversation {
  const { conversation_id, participants, actor, fresh_conversation_id } = publication;
  const id = answered ?? conversation_id;
  const named = id && state.conversations.byId(id);
  if (named) return join(state, reactivate(state, named, actor, now_ms), publication, now_ms);
  return (
    state.conversations.implicit(participants) ??
    openConversation(state, {
      id: fresh_conversation_id,
      participants,
      actor,
      implicit: true,
      opened_ms: now_ms,
      now_ms,
    })
  );
}

/** Imports leave the status as it is, and open a conversation under whatever id they name. */
function enterAsHistory(state: WriterState, message: WireImport, now_ms: number): OpenedConversation {
  const { conversation_id, participants, actor, timestamp_ms: opened_ms, fresh_conversation_id } = message;
  if (conversation_id === undefined) {
    return (
      state.conversations.implicit(participants) ??
      openConversation(state, { id: fresh_conversation_id, participants, actor, implicit: true, opened_ms, now_ms })
    );
  }
  const known = state.conversations.byId(conversation_id);
  if (known) return join(state, known, message, now_ms);
  return openConversation(state, { id: conversation_id, participants, actor, implicit: false, opened_ms, now_ms });
}

export function openConversation(
  state: WriterState,
  opening: {
    readonly id: ConversationId;
    readonly participants: WirePublication["participants"];
    readonly actor: string;
    readonly implicit: boolean;
    readonly opened_ms: number;
    readonly now_ms: number;
  },
): OpenedConversation {
  const { id, actor, implicit, opened_ms, now_ms } = opening;
  const participants = [...new Set(opening.participants)].sort();
  const created_at = toTimestamp(opened_ms);
  state.note({ event: "conversation_opened", at_ms: now_ms, conversation_id: id, actor });
  const conversation = { id, participants, created_at, last_activity: created_at, status: "active" } as const;
  return state.conversations.insert(conversation, implicit);
}

function reactivate(
  state: WriterState,
  conversation: OpenedConversation,
  actor: string,
  now_ms: number,
): OpenedConversation {
  if (conversation.status === "active") return conversation;
  const { id } = conversation;
  state.note({ event: "conversation_changed", at_ms: now_ms, conversation_id: id, actor, reason: "active" });
  return state.conversations.changeStatus(conversation, "active");
}

function join(
  state: WriterState,
  conversation: OpenedConversation,
  { participants, actor }: WirePublication,
  now_ms: number,
): OpenedConversation {
  const joined = participants.filter((it) => !conversation.participants.includes(it));
  if (joined.length === 0) return conversation;
  const reason = `joined: ${joined.join(", ")}`;
  state.note({ event: "conversation_changed", at_ms: now_ms, conversation_id: conversation.id, actor, reason });
  return state.conversations.join(conversation, joined);
}

type Place = {
  readonly position: number;
  readonly conversation_id: ConversationId;
  readonly timestamp_ms: number;
  readonly reply_depth: number;
  readonly readable_ms: number;
};

function statements({ db }: WriterState) {
  const insertMessage = prepare(db, `INSERT INTO messages VALUES (${Array(20).fill("?").join(", ")})`);
  const insertDelivery = prepare(
    db,
    `INSERT INTO deliveries (message_position, recipient, agent_id, state, expires_ms, available_ms, not_before_ms,
       delay_until_ms, reason, parked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  return {
    positionOf: prepare<{ position: number }>(db, "SELECT position FROM messages WHERE id = ?"),
    byPosition: prepare<MessageRow>(db, `SELECT ${messageColumns} FROM messages AS m WHERE m.position = ?`),
    byKey: prepare<{ position: number; timestamp: string }>(
      db,
      `SELECT position, timestamp FROM messages WHERE from_agent = ? AND idempotency_key = ?
         AND idempotency_key IS NOT NULL ORDER BY position DESC LIMIT 1`,
    ),
    answered: prepare<Answered>(db, "SELECT conversation_id, reply_depth, readable_ms FROM messages WHERE id = ?") as {
      get(id: MessageId): Answered | undefined;
    },
    lastPosition: prepare<{ position: number | null }>(db, "SELECT MAX(position) AS position FROM messages"),
    isTaken: prepare<object>(db, "SELECT 1 FROM messages WHERE position = ?"),
    insertDelivery,

    insertMessage(it: WirePublication, place: Place): void {
      insertMessage.run(
        place.position,
        it.id,
        it.from_agent,
        it.to_agent,
        recipientsColumn(it.to_agent, it.recipients),
        it.to ? JSON.stringify(it.to) : null,
        it.priority,
        toTimestamp(place.timestamp_ms),
        place.conversation_id,
        it.message_type,
        it.when,
        it.offline,
        it.reply_to ?? null,
        it.deliver_at_ms === undefined ? null : toTimestamp(it.deliver_at_ms),
        it.expires_at_ms === undefined ? null : toTimestamp(it.expires_at_ms),
        place.reply_depth,
        place.readable_ms,
        it.idempotency_key ?? null,
        it.metadata,
        it.content,
      );
    },

    insertDeliveries(it: WirePublication, position: number, standing: FirstStanding | undefined): void {
      const { available_ms, not_before_ms, delay_until_ms } = standing?.state === "scheduled" ? standing : unscheduled;
      for (const [recipient, agent_id] of it.recipients.entries()) {
        insertDelivery.run(
          position,
          recipient,
          agent_id,
          standing?.state ?? "ready",
          it.expires_at_ms ?? null,
          available_ms ?? null,
          not_before_ms ?? null,
          delay_until_ms ?? null,
          standing?.reason ?? null,
          standing ? 1 : 0,
        );
      }
    },
  };
}

const unscheduled: { available_ms?: number; not_before_ms?: number; delay_until_ms?: number } = {};
