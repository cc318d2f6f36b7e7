import type { DatabaseSync } from "node:sqlite";
import { invariant } from "../../base/invariant.ts";
import type { Conversation, ConversationStatus } from "../../contract/conversations.ts";
import type { AgentId, ConversationId } from "../../contract/messages.ts";
import { type ConversationRow, toConversation } from "./rows.ts";
import { writeMeta } from "./schema.ts";
import { prepare } from "./statement.ts";

/** A conversation as the writer knows it: like the row, but for `last_activity`, which the row may not know yet. */
export type OpenedConversation = Conversation & { readonly position: number; readonly implicit: boolean };

/**
 * The conversations that messages enter. Every message moves its conversation's `last_activity`; writing that each time
 * would change a random page per message. So it is kept here, written in one go every few seconds, before lists are read
 * and at the end (`flush`), and worked out anew after a crash from the messages since (`recoverActivity`).
 */
export type ConversationCache = {
  byId(id: ConversationId): OpenedConversation | undefined;
  /** The latest of the active conversations between exactly these that a message opened without naming one. */
  implicit(participants: readonly AgentId[]): OpenedConversation | undefined;
  insert(conversation: Conversation, implicit: boolean): OpenedConversation;
  changeStatus(conversation: OpenedConversation, status: ConversationStatus): OpenedConversation;
  /** @param joined Who is not yet a participant. */
  join(conversation: OpenedConversation, joined: readonly AgentId[]): OpenedConversation;
  /** Remembers the time of the latest message; `flush` writes it. */
  setActivity(conversation: OpenedConversation, last_activity: string): void;
  /** @param last_published Position of the latest message that the activity known here takes into account. */
  flush(last_published: number): undefined;
  begin(): void;
  keep(): void;
  rollBack(): void;
};

type Row = ConversationRow & { readonly position: number; readonly implicit: 0 | 1 };

/** Beyond this many the cache starts afresh: those in use come back with one look-up each. */
const mostCached = 20_000;

export function createConversationCache(db: DatabaseSync): ConversationCache {
  const sql = statements(db);
  const byId = new Map<ConversationId, OpenedConversation>();
  const implicitOnes = new Map<string, ConversationId>();
  const activity = createActivity();

  function remember(conversation: OpenedConversation): OpenedConversation {
    byId.set(conversation.id, conversation);
    return conversation;
  }

  function fromRow({ position, implicit, ...row }: Row): OpenedConversation {
    const last_activity = activity.of(row.id) ?? row.last_activity;
    return remember({ ...toConversation(row), position, last_activity, implicit: implicit === 1 });
  }

  function forget(): void {
    byId.clear();
    implicitOnes.clear();
  }

  function find(id: ConversationId): OpenedConversation | undefined {
    const row = byId.has(id) ? undefined : sql.byId.get(id);
    return row ? fromRow(row) : byId.get(id);
  }

  return {
    byId: find,
    implicit(participants) {
      const key = JSON.stringify(participants);
      const known = implicitOnes.get(key);
      if (known) return find(known);
      const row = sql.implicit.get(key);
      if (row) implicitOnes.set(key, row.id);
      return row && fromRow(row);
    },
    insert(conversation, implicit) {
      if (implicit) implicitOnes.set(JSON.stringify(conversation.participants), conversation.id);
      return remember({ ...conversation, position: insertRow(sql, conversation, implicit), implicit });
    },
    changeStatus(conversation, status) {
      sql.changeStatus.run(status, conversation.id);
      implicitOnes.delete(JSON.stringify(conversation.participants));
      return remember({ ...conversation, status });
    },
    join(conversation, joined) {
      const participants = [...conversation.participants, ...joined].sort();
      const key = JSON.stringify(participants);
      sql.changeParticipants.run(key, conversation.id);
      for (const agent_id of joined) sql.insertParticipant.run(agent_id, conversation.position);
      for (const it of [JSON.stringify(conversation.participants), key]) implicitOnes.delete(it);
      return remember({ ...conversation, participants });
    },
    setActivity(conversation, last_activity) {
      if (byId.size > mostCached) forget();
      activity.set(conversation.id, last_activity);
      remember({ ...conversation, last_activity });
    },
    flush(last_published): undefined {
      const late = activity.flush();
      for (const [id, last_activity] of late) sql.setActivity.run(last_activity, id);
      if (late.length > 0) writeMeta(db, "activity_position", last_published);
    },
    begin: activity.begin,
    keep: activity.keep,
    rollBack() {
      activity.begin();
      forget();
    },
  };
}

/** Activity that the disk does not know: of the batches that are kept, and of the batch under way. */
function createActivity() {
  const kept = new Map<ConversationId, string>();
  const ofBatch = new Map<ConversationId, string>();
  /** `kept` has been written by the batch under way: it is forgotten when the batch is kept, and stays if it is not. */
  let isFlushed = false;
  return {
    of: (id: ConversationId) => ofBatch.get(id) ?? (isFlushed ? undefined : kept.get(id)),
    set(id: ConversationId, last_activity: string): void {
      ofBatch.set(id, last_activity);
    },
    /** @returns What is to be written now. */
    flush(): [id: ConversationId, last_activity: string][] {
      const late = isFlushed ? [...ofBatch] : [...kept, ...ofBatch];
      ofBatch.clear();
      isFlushed = true;
      return late;
    },
    begin(): void {
      ofBatch.clear();
      isFlushed = false;
    },
    keep(): void {
      if (isFlushed) kept.clear();
      for (const [id, last_activity] of ofBatch) kept.set(id, last_activity);
      ofBatch.clear();
      isFlushed = false;
    },
  };
}

function insertRow(sql: ReturnType<typeof statements>, conversation: Conversation, implicit: boolean): number {
  const { id, participants, created_at, last_activity, status, sealed } = conversation;
  const key = JSON.stringify(participants);
  const row = sql.insert.get(id, key, created_at, last_activity, status, implicit ? 1 : 0, sealed ? 1 : 0);
  invariant(row, "an insert with RETURNING answers a row");
  for (const agent_id of participants) sql.insertParticipant.run(agent_id, row.position);
  return row.position;
}

function statements(db: DatabaseSync) {
  const columns = "position, id, participants, created_at, last_activity, status, implicit, sealed";
  return {
    byId: prepare<Row>(db, `SELECT ${columns} FROM conversations WHERE id = ?`),
    implicit: prepare<Row>(
      db,
      `SELECT ${columns} FROM conversations WHERE participants = ? AND implicit = 1 AND status = 'active'
       ORDER BY position DESC LIMIT 1`,
    ),
    insert: prepare<{ position: number }>(
      db,
      `INSERT INTO conversations (id, participants, created_at, last_activity, status, implicit, sealed)
       VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING position`,
    ),
    insertParticipant: prepare(db, "INSERT OR IGNORE INTO conversation_participants VALUES (?, ?)"),
    changeStatus: prepare(db, "UPDATE conversations SET status = ? WHERE id = ?"),
    changeParticipants: prepare(db, "UPDATE conversations SET participants = ? WHERE id = ?"),
    setActivity: prepare(db, "UPDATE conversations SET last_activity = ? WHERE id = ?"),
  };
}

/** After a crash: brings `last_activity` up to the messages that came since it was last written. */
export function recoverActivity(db: DatabaseSync, since_position: number): void {
  // Messages in the order of their positions, so the last one of a conversation is the one that counts.
  prepare(
    db,
    `UPDATE conversations SET last_activity = recent.timestamp
     FROM (SELECT conversation_id, timestamp, MAX(position) FROM messages WHERE position > ? GROUP BY conversation_id)
       AS recent
     WHERE conversations.id = recent.conversation_id AND recent.timestamp <> conversations.last_activity`,
  ).run(since_position);
}
