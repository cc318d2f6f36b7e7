import { defined } from "../../base/defined.ts";
import type { AgentId, ConversationId, Message, MessageId } from "../../contract/messages.ts";
import type { SealedToAgents } from "../../contract/sealed.ts";
import { encryptToAgents, type Recipient } from "./encryption.ts";
import { type AgentKeys, audienceOf } from "./keys.ts";
import { sign } from "./signature.ts";

/** What only the recipients shall read. */
export type SealedPayload = Pick<Message, "content" | "metadata">;

export type ToSeal = {
  readonly message_id: MessageId;
  /** Where it is known already. */
  readonly conversation_id?: ConversationId;
  readonly from: AgentId;
  /** The recipient as the bus will show it in `to_agent`: an agent's own id (no alias), `group:NAME` or `broadcast`. */
  readonly to: string;
  /** Everyone who shall be able to open it; the sender too where it wants to read its own message later. */
  readonly recipients: readonly Recipient[];
  /** RFC 3339. */
  readonly sealed_at: string;
  readonly payload: SealedPayload;
};

/**
 * Seals a message for its recipients: signed by the sender, then encrypted once with a fresh key that is wrapped for each.
 * Every call gives other bytes, so a retry sends the first result again.
 *
 * @throws BusError `invalid_input` where a recipient's key is unusable or named twice
 */
export async function seal(message: ToSeal, sender: AgentKeys): Promise<SealedToAgents> {
  const { message_id, conversation_id, from, to, sealed_at, recipients, payload } = message;
  const envelope = defined({ message_id, conversation_id, from, to, sealed_at });
  const audience = await audienceOf(recipients.map((it) => it.keys.encryption.kid));
  const signed = await sign(payload, { purpose: "sealed", envelope, audience }, sender);
  return encryptToAgents(signed, { purpose: "sealed", envelope }, recipients);
}
