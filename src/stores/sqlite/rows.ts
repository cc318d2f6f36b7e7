import { defined } from "../../base/defined.ts";
import { parseJson } from "../../base/json.ts";
import type { Conversation } from "../../contract/conversations.ts";
import type { Address, AgentId, Message, Metadata } from "../../contract/messages.ts";
import type { Sealed } from "../../contract/sealed.ts";

/** A row of `messages` as `messageColumns` selects it. */
export type MessageRow = Pick<
  Message,
  | "id"
  | "from_agent"
  | "to_agent"
  | "priority"
  | "timestamp"
  | "conversation_id"
  | "message_type"
  | "when"
  | "offline"
  | "content"
> & {
  readonly position: number;
  readonly recipients: string | null;
  readonly to: string | null;
  readonly reply_to: Message["id"] | null;
  readonly deliver_at: string | null;
  readonly expires_at: string | null;
  readonly sealed: string | null;
  readonly metadata: string;
  /** 1 where every delivery is acknowledged. */
  readonly acknowledged: 0 | 1;
};

/** For `SELECT ${messageColumns} FROM messages AS m`. */
export const messageColumns = `m.position, m.id, m.from_agent, m.to_agent, m.recipients, m."to", m.priority, m.timestamp,
  m.conversation_id, m.message_type, m."when", m.offline, m.reply_to, m.deliver_at, m.expires_at, m.sealed, m.metadata,
  m.content,
  NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.message_position = m.position AND d.state <> 'acknowledged')
    AS acknowledged`;

export function toMessage(row: MessageRow): Message {
  return {
    id: row.id,
    from_agent: row.from_agent,
    to_agent: row.to_agent,
    content: row.content,
    priority: row.priority,
    timestamp: row.timestamp,
    acknowledged: row.acknowledged === 1,
    conversation_id: row.conversation_id,
    message_type: row.message_type,
    metadata: parseJson(row.metadata) as Metadata, // Written by us, from a Metadata.
    when: row.when,
    offline: row.offline,
    ...defined({
      to: row.to === null ? undefined : (parseJson(row.to) as Address), // Likewise.
      reply_to: row.reply_to ?? undefined,
      deliver_at: row.deliver_at ?? undefined,
      expires_at: row.expires_at ?? undefined,
      sealed: row.sealed === null ? undefined : (parseJson(row.sealed) as Sealed), // Likewise.
    }),
  };
}

/** Characters of a seal, about: its parts that can be long. */
export function sealedSize(sealed: Sealed): number {
  const perRecipient = 320;
  const recipients = "recipients" in sealed ? sealed.recipients.length : 0;
  return sealed.ciphertext.length + sealed.protected.length + recipients * perRecipient;
}

/** A row of `conversations` as `conversationColumns` selects it. */
export type ConversationRow = Omit<Conversation, "participants" | "sealed"> & {
  readonly participants: string;
  readonly sealed: 0 | 1;
};

/** For `SELECT ${conversationColumns} FROM conversations AS c`. */
export const conversationColumns = "c.id, c.participants, c.created_at, c.last_activity, c.status, c.sealed";

export function toConversation({ sealed, ...row }: ConversationRow): Conversation {
  // Participants were written as an array of ids.
  return { ...row, participants: parseJson(row.participants) as AgentId[], ...(sealed === 1 && { sealed: true }) };
}

export function recipientsOf(row: Pick<MessageRow, "recipients" | "to_agent">): readonly AgentId[] {
  // Written by us: either a JSON array of ids, or nothing where the one recipient is the agent it is addressed to.
  return row.recipients === null ? [row.to_agent as AgentId] : (parseJson(row.recipients) as AgentId[]);
}

/** What `recipients` holds: nothing where it would only repeat `to_agent`. */
export function recipientsColumn(to_agent: string, recipients: readonly AgentId[]): string | null {
  return recipients.length === 1 && recipients[0] === to_agent ? null : JSON.stringify(recipients);
}
