import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { StoredEvent } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import type { ConversationStatus } from "../../contract/conversations.ts";
import type { EventName } from "../../contract/events.ts";
import type { AgentId, ConversationId, MessageId } from "../../contract/messages.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";
import { type DeliveryRow, deliveryColumns } from "./delivery-rows.ts";
import type { ReaderQuestion, ReaderQuestions } from "./reader-protocol.ts";
import {
  type ConversationRow,
  conversationColumns,
  type MessageRow,
  messageColumns,
  toConversation,
  toMessage,
} from "./rows.ts";
import { readMeta } from "./schema.ts";
import { prepare } from "./statement.ts";

type Reads = {
  readonly [Name in Exclude<ReaderQuestion, "search" | "use_keys">]: (
    question: ReaderQuestions[Name]["question"],
  ) => ReaderQuestions[Name]["answer"];
};

/** The lists that need no index of words. */
export function createReads(db: DatabaseSync, cipher: FieldCipher): Reads {
  return {
    events: createEventReads(db),
    dead_letters: createDeadLetterReads(db, cipher),
    dead_deliveries: (question) => readDeadDeliveries(db, question),
    conversations: createConversationReads(db),
  };
}

type EventRow = {
  position: number;
  at_ms: number;
  event: EventName;
  agent_id: AgentId | null;
  actor: string;
  reason: string | null;
  message_id: MessageId | null;
  conversation_id: ConversationId | null;
  from_agent: AgentId | null;
};

function createEventReads(db: DatabaseSync): Reads["events"] {
  const after = prepare<EventRow>(
    db,
    `SELECT e.position, e.at_ms, e.event, e.agent_id, e.actor, e.reason, m.id AS message_id, m.from_agent,
       COALESCE(e.conversation_id, m.conversation_id) AS conversation_id
     FROM events AS e LEFT JOIN messages AS m ON m.position = e.message_position
     WHERE e.position > ? ORDER BY e.position LIMIT ?`,
  );
  return ({ after: position, limit }) => ({
    events: after.all(position, limit).map(toEvent),
    gap: position < (readMeta(db, "forgotten_event") ?? 0),
  });
}

function toEvent(row: EventRow): StoredEvent {
  const { position, at_ms, event, actor, agent_id, reason, message_id, conversation_id, from_agent } = row;
  return {
    position,
    at: toTimestamp(at_ms),
    event,
    actor,
    ...defined({
      message_id: message_id ?? undefined,
      agent_id: agent_id ?? undefined,
      conversation_id: conversation_id ?? undefined,
      reason: reason ?? undefined,
      from_agent: from_agent ?? undefined,
    }),
  };
}

function createDeadLetterReads(db: DatabaseSync, cipher: FieldCipher): Reads["dead_letters"] {
  type Row = MessageRow & { agent_id: AgentId; attempt: number; reason: string; dead_event: number; died_ms: number };
  const select = (condition: string) =>
    prepare<Row>(
      db,
      `SELECT ${messageColumns}, d.agent_id, d.attempt, d.reason, d.dead_event, e.at_ms AS died_ms
       FROM deliveries AS d JOIN messages AS m ON m.position = d.message_position
         JOIN events AS e ON e.position = d.dead_event
       WHERE d.state = 'dead' AND d.dead_event < ? ${condition} ORDER BY d.dead_event DESC LIMIT ?`,
    );
  const [ofAll, ofAgent] = [select(""), select("AND d.agent_id = ?")];
  return ({ agent_id, limit, after = Number.MAX_SAFE_INTEGER }) => {
    const rows = agent_id ? ofAgent.all(after, agent_id, limit + 1) : ofAll.all(after, limit + 1);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      rows: page.map((row) => ({
        message: toMessage(cipher, row),
        agent_id: row.agent_id,
        attempt: row.attempt,
        reason: row.reason,
        died_at: toTimestamp(row.died_ms),
      })),
      ...(rows.length > limit && last && { next: last.dead_event }),
    };
  };
}

function readDeadDeliveries(
  db: DatabaseSync,
  { agent_id, message_ids, limit, with_aging }: ReaderQuestions["dead_deliveries"]["question"],
): readonly DeliveryRow[] {
  const values: SQLInputValue[] = [];
  let condition = "";
  if (agent_id) {
    condition += " AND d.agent_id = ?";
    values.push(agent_id);
  }
  if (message_ids) {
    condition += " AND m.id IN (SELECT value FROM json_each(?))";
    values.push(JSON.stringify(message_ids));
  }
  const sql = `SELECT ${deliveryColumns({ with_aging })}
    FROM deliveries AS d JOIN messages AS m ON m.position = d.message_position
    WHERE d.state = 'dead'${condition} ORDER BY d.message_position, d.recipient LIMIT ?`;
  return prepare<DeliveryRow>(db, sql)
    .all(...values, limit)
    .map((it) => ({ ...it }));
}

const statuses: readonly ConversationStatus[] = ["active", "archived", "closed"];

function createConversationReads(db: DatabaseSync): Reads["conversations"] {
  const beyond = "(c.last_activity < ?2 OR (c.last_activity = ?2 AND c.id < ?3))";
  const latest = "ORDER BY c.last_activity DESC, c.id DESC LIMIT ?4";
  const ofAll = prepare<ConversationRow>(
    db,
    `SELECT ${conversationColumns} FROM conversations AS c WHERE c.status = ?1 AND (c.last_activity, c.id) < (?2, ?3) ${latest}`,
  );
  const ofParticipant = prepare<ConversationRow>(
    db,
    `SELECT ${conversationColumns} FROM conversation_participants AS p JOIN conversations AS c ON c.position = p.conversation_position
     WHERE p.agent_id = ?5 AND c.status = ?1 AND ${beyond} ${latest}`,
  );
  /** Sorts after every time and every id. */
  const end = "\u{10ffff}";
  return ({ participant, status, limit, after }) => {
    const { last_activity, id } = after ?? { last_activity: end, id: end };
    const rows = (status ? [status] : statuses).flatMap((it) =>
      participant
        ? ofParticipant.all(it, last_activity, id, limit, participant)
        : ofAll.all(it, last_activity, id, limit),
    );
    return rows.sort(latestFirst).slice(0, limit).map(toConversation);
  };
}

function latestFirst(a: ConversationRow, b: ConversationRow): number {
  return compare(b.last_activity, a.last_activity) || compare(b.id, a.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
