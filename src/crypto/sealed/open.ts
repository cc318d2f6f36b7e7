import { Type } from "typebox";
import { Compile } from "typebox/compile";
import { isOrdinaryJson } from "../../base/json.ts";
import { limits } from "../../contract/limits.ts";
import { Message } from "../../contract/messages.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import { Sealed } from "../../contract/sealed.ts";
import type { ConversationKey } from "./conversation-key.ts";
import { decryptForAgent, decryptForConversation, isToAgents } from "./encryption.ts";
import { type Delivered, type Envelope, refusal, requireDelivered, type Tolerance } from "./envelope.ts";
import { type AgentKeys, audienceOf } from "./keys.ts";
import type { SealedPayload } from "./seal.ts";
import { verify } from "./signature.ts";

const { content, metadata } = Message.properties;
const validPayload = Compile(Type.Object({ content, metadata }, { additionalProperties: false }));
const validSealed = Compile(Sealed);

export type OpeningKeys = Tolerance & {
  /** The reader's own, earlier ones too. */
  readonly own_keys: readonly AgentKeys[];
  /** Those trusted for `from_agent`, the latest first. */
  readonly sender_keys: readonly PublicKeys[];
  /** Those of the conversation, where it has any. */
  readonly conversation_keys?: readonly ConversationKey[];
};

export type Opened = {
  readonly payload: SealedPayload;
  readonly sealed_at: string;
  /** The sender's signature in base64url: what a replay guard remembers. */
  readonly signature: string;
  /** Thumbprint of the sender's signing key. */
  readonly signed_by: string;
};

/**
 * Opens a message sealed for one of these keys or with one of these conversation keys, and gives its payload only when
 * everything it must prove is proven. What is sealed may be anything at all: it comes from outside.
 *
 * @throws BusError `sealed_invalid`, `key_unknown`, `key_changed`
 */
export async function open(sealed: unknown, delivered: Delivered, keys: OpeningKeys): Promise<Opened> {
  const { id } = delivered;
  if (!validSealed.Check(sealed)) throw refusal(id, "it is not a JWE of the one form allowed");
  const { envelope, plaintext, audience } = await decryptEither(sealed, id, keys);
  requireDelivered(envelope, delivered, keys);
  const signed = { purpose: "sealed", envelope, audience } as const;
  const { payload, signature, signed_by } = await verify(plaintext, signed, keys.sender_keys);
  if (!validPayload.Check(payload)) throw refusal(id, "what was sealed is not a message's content and metadata");
  // What the server asks of metadata it cannot ask of these.
  if (!isOrdinaryJson(payload.metadata, limits.metadata_depth)) {
    throw refusal(id, "its metadata nests too deep, or has a number or a field name that no message may have");
  }
  return { payload, sealed_at: envelope.sealed_at, signature, signed_by };
}

async function decryptEither(
  sealed: Sealed,
  id: string,
  { own_keys, conversation_keys = [] }: OpeningKeys,
): Promise<{ envelope: Envelope; plaintext: Uint8Array; audience: string }> {
  if (isToAgents(sealed)) {
    const audience = await audienceOf(sealed.recipients.map((it) => it.header.kid));
    return { ...(await decryptForAgent(sealed, { id, purpose: "sealed" }, own_keys)), audience };
  }
  const { key, ...opened } = await decryptForConversation(sealed, id, conversation_keys);
  if (opened.envelope.conversation_id !== key.conversation_id) {
    throw refusal(id, "it is sealed with the key of another conversation");
  }
  return { ...opened, audience: key.audience };
}
