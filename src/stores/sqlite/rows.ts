import { defined } from "../../base/defined.ts";
import { parseJson } from "../../base/json.ts";
import type { Conversation } from "../../contract/conversations.ts";
import { BusError } from "../../contract/errors.ts";
import type { Address, AgentId, Message, Metadata } from "../../contract/messages.ts";
import type { Provenance, TokenKind, Trust } from "../../contract/provenance.ts";
import type { Sealed } from "../../contract/sealed.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";

/** A row of `messages` as `messageColumns` selects it. */
export type MessageRow = Pick<
  Message,
  "id" | "from_agent" | "to_agent" | "priority" | "timestamp" | "conversation_id" | "message_type" | "when" | "offline"
> & {
  readonly position: number;
  readonly provenance: string;
  readonly recipients: string | null;
  readonly to: string | null;
  readonly reply_to: Message["id"] | null;
  readonly deliver_at: string | null;
  readonly expires_at: string | null;
  readonly sealed: string | null;
  /** Sealed, like the content; null where there is none. */
  readonly metadata: Uint8Array | null;
  readonly content: Uint8Array;
  /** 1 where every delivery is acknowledged. */
  readonly acknowledged: 0 | 1;
};

/** For `SELECT ${messageColumns} FROM messages AS m`. */
export const messageColumns = `m.position, m.id, m.from_agent, m.to_agent, m.recipients, m."to", m.priority, m.timestamp, m.provenance,
  m.conversation_id, m.message_type, m."when", m.offline, m.reply_to, m.deliver_at, m.expires_at, m.sealed, m.metadata, m.content,
  NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.message_position = m.position AND d.state <> 'acknowledged')
    AS acknowledged`;

/** What is sealed of a message, opened. */
export type Body = Pick<Message, "content" | "metadata"> & { readonly unreadable?: string };

export type SealedBody = Pick<MessageRow, "id" | "content" | "metadata">;

/**
 * Opens what was said. What was tampered with or damaged does not open: then it is empty and says so, so that one such
 * message keeps nobody from the others.
 */
export function openBody(cipher: FieldCipher, { id, content, metadata }: SealedBody): Body {
  try {
    return {
      content: cipher.open({ message_id: id, field: "content" }, content),
      metadata: openMetadata(cipher, { id, metadata }),
    };
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    return { content: "", metadata: {}, unreadable: error.message };
  }
}

function openMetadata(cipher: FieldCipher, { id, metadata }: Pick<SealedBody, "id" | "metadata">): Metadata {
  if (metadata === null) return {};
  return parseJson(cipher.open({ message_id: id, field: "metadata" }, metadata)) as Metadata; // Written by us, from a Metadata.
}

/** What `metadata` and `content` hold. */
export function sealBody(
  cipher: FieldCipher,
  { id, content, metadata }: { readonly id: string; readonly content: string; readonly metadata: string },
): Pick<MessageRow, "content" | "metadata"> {
  return {
    content: cipher.seal({ message_id: id, field: "content" }, content),
    metadata: metadata === "{}" ? null : cipher.seal({ message_id: id, field: "metadata" }, metadata),
  };
}

/** @param body Where the caller has opened it already. */
export function toMessage(cipher: FieldCipher, row: MessageRow, body = openBody(cipher, row)): Message {
  return {
    id: row.id,
    from_agent: row.from_agent,
    to_agent: row.to_agent,
    content: body.content,
    priority: row.priority,
    timestamp: row.timestamp,
    acknowledged: row.acknowledged === 1,
    conversation_id: row.conversation_id,
    message_type: row.message_type,
    metadata: body.metadata,
    when: row.when,
    offline: row.offline,
    provenance: provenanceOf(row),
    ...defined({
      to: row.to === null ? undefined : (parseJson(row.to) as Address), // Likewise.
      reply_to: row.reply_to ?? undefined,
      deliver_at: row.deliver_at ?? undefined,
      expires_at: row.expires_at ?? undefined,
      unreadable: body.unreadable,
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

/** What `provenance` holds: words, without the actor where that is the sender, as it is for nearly every message. */
export function provenanceColumn({ actor, token, trust }: Provenance, from_agent: AgentId): string {
  return actor === from_agent ? `${trust} ${token}` : `${trust} ${token} ${actor}`;
}

function provenanceOf({ provenance, from_agent }: Pick<MessageRow, "provenance" | "from_agent">): Provenance {
  // Written by us, from a Provenance.
  const [trust, token, ...actor] = provenance.split(" ") as [Trust, TokenKind, ...string[]];
  return { actor: actor.length === 0 ? from_agent : actor.join(" "), token, trust };
}
