import type { DatabaseSync } from "node:sqlite";
import { defined } from "../../base/defined.ts";
import { invariant } from "../../base/invariant.ts";
import { toTimestamp } from "../../base/time.ts";
import type { Conversation } from "../../contract/conversations.ts";
import type {
  AgentId,
  ConversationId,
  DeliveryState,
  DeliveryStatus,
  LeaseId,
  LedgerEntry,
  LedgerEvent,
  Message,
  MessageId,
} from "../../contract/messages.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";
import {
  type ConversationRow,
  conversationColumns,
  type MessageRow,
  messageColumns,
  toConversation,
  toMessage,
} from "./rows.ts";
import { prepare } from "./statement.ts";

/** Rows by their keys, read on the main thread: each takes some ten microseconds. */
export type Lookups = {
  message(position: number): Message;
  find(id: MessageId): { readonly position: number; readonly message: Message } | undefined;
  position(id: MessageId): number | undefined;
  /** The latest message that a sender sent with this idempotency key. */
  byKey(from_agent: AgentId, idempotency_key: string): Message | undefined;
  /** In the order of the recipients, as the disk knows them. */
  deliveries(position: number): readonly StoredDelivery[];
  ledger(position: number): readonly LedgerEntry[];
  conversation(id: ConversationId): Conversation | undefined;
  /** Reads more than single rows; for the start only, since it keeps this thread. */
  load<Result>(read: (db: DatabaseSync) => Result): Result;
  close(): void;
};

export type StoredDelivery = {
  readonly recipient: number;
  readonly agent_id: AgentId;
  readonly state: Exclude<DeliveryState, "leased">;
  readonly attempt: number;
  readonly available_ms: number | null;
  readonly reason: string | null;
  readonly lease_id: LeaseId | null;
};

type LedgerRow = { at_ms: number; event: LedgerEvent; actor: string; reason: string | null; agent_id: AgentId };

export function createLookups(db: DatabaseSync, cipher: FieldCipher): Lookups {
  const sql = {
    byPosition: prepare<MessageRow>(db, `SELECT ${messageColumns} FROM messages AS m WHERE position = ?`),
    byId: prepare<MessageRow>(db, `SELECT ${messageColumns} FROM messages AS m WHERE id = ?`),
    position: prepare<{ position: number }>(db, "SELECT position FROM messages WHERE id = ?"),
    byKey: prepare<MessageRow>(
      db,
      `SELECT ${messageColumns} FROM messages AS m WHERE from_agent = ? AND idempotency_key = ?
         AND idempotency_key IS NOT NULL ORDER BY position DESC LIMIT 1`,
    ),
    deliveries: prepare<StoredDelivery>(
      db,
      `SELECT recipient, agent_id, state, attempt, available_ms, reason, lease_id FROM deliveries
       WHERE message_position = ? ORDER BY recipient`,
    ),
    ledger: prepare<LedgerRow>(
      db,
      "SELECT at_ms, event, actor, reason, agent_id FROM events WHERE message_position = ? ORDER BY position",
    ),
    conversation: prepare<ConversationRow>(db, `SELECT ${conversationColumns} FROM conversations AS c WHERE id = ?`),
  };
  return {
    message(position) {
      const row = sql.byPosition.get(position);
      invariant(row, `message ${position} has an open delivery, but is not in the database`);
      return toMessage(cipher, row);
    },
    find(id) {
      const row = sql.byId.get(id);
      return row && { position: row.position, message: toMessage(cipher, row) };
    },
    position: (id) => sql.position.get(id)?.position,
    byKey(from_agent, idempotency_key) {
      const row = sql.byKey.get(from_agent, idempotency_key);
      return row && toMessage(cipher, row);
    },
    deliveries: (position) => sql.deliveries.all(position),
    ledger: (position) => sql.ledger.all(position).map(toLedgerEntry),
    conversation(id) {
      const row = sql.conversation.get(id);
      return row && toConversation(row);
    },
    load: (read) => read(db),
    close: () => db.close(),
  };
}

function toLedgerEntry({ at_ms, event, actor, reason, agent_id }: LedgerRow): LedgerEntry {
  return { at: toTimestamp(at_ms), event, actor, ...defined({ reason: reason ?? undefined }), agent_id };
}

/** The status of a delivery that is over, or of which memory knows nothing. */
export function storedStatus(message_id: MessageId, it: StoredDelivery): DeliveryStatus {
  const { agent_id, state, attempt, reason, available_ms } = it;
  const isWaiting = state === "scheduled" || state === "held" || state === "dead";
  return {
    message_id,
    agent_id,
    state,
    attempt,
    ...defined({
      available_at: state === "scheduled" && available_ms !== null ? toTimestamp(available_ms) : undefined,
      reason: isWaiting && reason !== null ? reason : undefined,
    }),
  };
}
