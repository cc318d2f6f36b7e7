import { base64url } from "jose";
import { Type } from "typebox";
import { Check } from "typebox/value";
import type { AgentId, ConversationId, MessageId } from "../../contract/messages.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import { SealedToAgents, type SealedToConversation } from "../../contract/sealed.ts";
import { decodeBase64url } from "./base64url.ts";
import { decryptForAgent, encryptToAgents, encryptToConversation, type Recipient } from "./encryption.ts";
import { type Delivered, refusal, requireDelivered, type Tolerance } from "./envelope.ts";
import { type AgentKeys, audienceOf } from "./keys.ts";
import type { ToSeal } from "./seal.ts";
import { sign, verify } from "./signature.ts";

/*
 * Where many messages go between the same agents, the costly part (a key agreement per recipient) is done once: one member
 * makes a key and seals it for all; messages are then encrypted under it, each still signed by its sender. Whoever joins or
 * leaves makes a new epoch necessary, with a new key: a newcomer reads nothing earlier, and who left reads nothing later.
 */

/** The key of a conversation for as long as its members stay the same. */
export type ConversationKey = {
  readonly conversation_id: ConversationId;
  /** From 1; each key of the same maker has a higher one. */
  readonly epoch: number;
  /** `<conversation_id>.<epoch>` */
  readonly kid: string;
  /** 256 bits, for A256GCM. At most 2^32 messages may be sealed with it (NIST SP 800-38D, section 8.3). */
  readonly secret: Uint8Array;
  /** Its members' keys: see `audienceOf`. */
  readonly audience: string;
};

export type NewConversationKey = {
  /** Names this key's distribution; a UUIDv7 of its own. */
  readonly id: MessageId;
  readonly conversation_id: ConversationId;
  readonly epoch: number;
  readonly from: AgentId;
  /** All of them, the maker included. */
  readonly members: readonly Recipient[];
  readonly sealed_at: string;
};

const secret_bytes = 32;
const Payload = Type.Object({ epoch: Type.Integer({ minimum: 1 }), k: Type.String() }, { additionalProperties: false });

/**
 * Makes the key of a conversation's epoch, and seals it for its members.
 *
 * @throws BusError `invalid_input` where a member's key is unusable or named twice
 */
export async function sealConversationKey(
  { id, conversation_id, epoch, from, members, sealed_at }: NewConversationKey,
  maker: AgentKeys,
): Promise<{ key: ConversationKey; sealed: SealedToAgents }> {
  const secret = crypto.getRandomValues(new Uint8Array(secret_bytes));
  const audience = await audienceOf(members.map((it) => it.keys.encryption.kid));
  const envelope = { message_id: id, conversation_id, from, to: addressOf(conversation_id), sealed_at };
  const purpose = "conversation-key";
  const signed = await sign({ epoch, k: base64url.encode(secret) }, { purpose, envelope, audience }, maker);
  const sealed = await encryptToAgents(signed, { purpose, envelope }, members);
  return { key: { conversation_id, epoch, kid: kidOf(conversation_id, epoch), secret, audience }, sealed };
}

export type DeliveredKey = Omit<Delivered, "to_agent"> & { readonly epoch: number };

/**
 * Opens the key of a conversation's epoch, sealed by a member. What is sealed may be anything at all: it comes from outside.
 *
 * @throws BusError `sealed_invalid`, `key_unknown`, `key_changed`
 */
export async function openConversationKey(
  sealed: unknown,
  { epoch, ...delivered }: DeliveredKey,
  keys: Tolerance & { readonly own_keys: readonly AgentKeys[]; readonly sender_keys: readonly PublicKeys[] },
): Promise<ConversationKey> {
  const { id, conversation_id } = delivered;
  const purpose = "conversation-key";
  if (!Check(SealedToAgents, sealed)) throw refusal(id, "it is not a JWE of the one form allowed");
  const audience = await audienceOf(sealed.recipients.map((it) => it.header.kid));
  const { envelope, plaintext } = await decryptForAgent(sealed, { id, purpose }, keys.own_keys);
  requireDelivered(envelope, { ...delivered, to_agent: addressOf(conversation_id) }, keys);
  const { payload } = await verify(plaintext, { purpose, envelope, audience }, keys.sender_keys);
  const secret = Check(Payload, payload) && payload.epoch === epoch ? decodeBase64url(payload.k) : undefined;
  if (secret?.length !== secret_bytes || envelope.conversation_id !== conversation_id) {
    throw refusal(id, `what was sealed is not the key of epoch ${epoch} of the conversation ${conversation_id}`);
  }
  return { conversation_id, epoch, kid: kidOf(conversation_id, epoch), secret, audience };
}

/** Seals a message with its conversation's key: as small and as fast for a thousand members as for two. */
export async function sealWithConversationKey(
  { message_id, from, to, sealed_at, payload }: Omit<ToSeal, "recipients" | "conversation_id">,
  key: ConversationKey,
  sender: AgentKeys,
): Promise<SealedToConversation> {
  const { conversation_id, audience } = key;
  const envelope = { message_id, conversation_id, from, to, sealed_at };
  const signed = await sign(payload, { purpose: "sealed", envelope, audience }, sender);
  return encryptToConversation(signed, envelope, key);
}

/** Whether the key was made for exactly these members with these keys; else the next epoch is due. */
export async function fitsMembers(key: ConversationKey, members: readonly PublicKeys[]): Promise<boolean> {
  return key.audience === (await audienceOf(members.map((it) => it.encryption.kid)));
}

function kidOf(conversation_id: ConversationId, epoch: number): string {
  return `${conversation_id}.${epoch}`;
}

function addressOf(conversation_id: ConversationId): string {
  return `conversation:${conversation_id}`;
}
