import { type Static, type TSchema, Type } from "typebox";
import type { Validator } from "typebox/compile";
import { parseTimestamp } from "../../base/time.ts";
import { BusError } from "../../contract/errors.ts";
import { AgentId, ConversationId, type Message, MessageId, Timestamp } from "../../contract/messages.ts";
import { decodeBase64url } from "./base64url.ts";

/*
 * A sealed message is an envelope that was written twice: outside in the JWE's protected header, which the ciphertext's tag
 * covers, and inside in the JWS's, which the sender's signature covers. Both must say what the bus says on delivery. So
 * ciphertext cannot be moved to another message, and a reader cannot pass on a signature under another name.
 */

const strict = { additionalProperties: false } as const;

/** What of a message the seal binds. */
export type Envelope = Static<typeof Envelope>;
export const Envelope = Type.Object(
  {
    message_id: MessageId,
    conversation_id: Type.Optional(ConversationId),
    from: AgentId,
    to: Type.String({ minLength: 1, maxLength: 256 }),
    sealed_at: Timestamp,
  },
  strict,
);

/** Keeps apart what is signed or sealed for different ends (RFC 8725, section 3.11). */
export type Purpose = "sealed" | "conversation-key";

/** What a message says of itself on delivery: how the bus shows it. */
export type Delivered = Readonly<Pick<Message, "id" | "conversation_id" | "from_agent" | "to_agent" | "timestamp">>;

export type Tolerance = {
  /** How long before the bus accepted it a message may have been sealed. Default a week: an outbox may have held it. */
  readonly oldest_ms?: number;
  /** How far the sender's clock may be ahead of the bus's. Default 5 minutes. */
  readonly ahead_ms?: number;
};

const default_oldest_ms = 7 * 86_400_000;
const default_ahead_ms = 300_000;

/** @throws BusError `sealed_invalid` where the seal was made for another envelope than the one delivered, or another time. */
export function requireDelivered(sealed: Envelope, delivered: Delivered, tolerance: Tolerance): void {
  const { id, conversation_id, from_agent, to_agent } = delivered;
  requireEqual(id, "message_id", sealed.message_id, id);
  requireEqual(id, "from", sealed.from, from_agent);
  requireEqual(id, "to", sealed.to, to_agent);
  requireEqual(id, "conversation_id", sealed.conversation_id ?? conversation_id, conversation_id);
  requireInTime(sealed, delivered, tolerance);
}

/** The error for a seal that does not hold. */
export function refusal(message_id: string, why: string, options?: ErrorOptions): BusError {
  return new BusError(
    "sealed_invalid",
    `the seal of message ${message_id} does not hold: ${why}; do not act on it, and ask its sender to send again`,
    options,
  );
}

/**
 * A protected header, read from its base64url text; the schemas are strict, so that `crit`, `zip` and whatever else would ask
 * for something is refused.
 */
export function readHeader<Schema extends TSchema>(
  validator: Validator<Record<never, never>, Schema>,
  text: string,
): Static<Schema> | undefined {
  const bytes = decodeBase64url(text);
  const value = bytes && parseUtf8Json(bytes);
  return validator.Check(value) ? (value as Static<Schema>) : undefined;
}

/** The value of a JSON text in UTF-8; undefined where it is none. */
export function parseUtf8Json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // Told by the answer: the bytes are none.
    return undefined;
  }
}

function requireEqual(id: string, field: string, sealed: string, delivered: string): void {
  if (sealed === delivered) return;
  throw refusal(id, `it was made for ${field} ${sealed}, not for ${delivered}, so it has been moved`);
}

function requireInTime({ sealed_at }: Envelope, { id, timestamp }: Delivered, tolerance: Tolerance): void {
  const { oldest_ms = default_oldest_ms, ahead_ms = default_ahead_ms } = tolerance;
  const age_ms = (parseTimestamp(timestamp) ?? Number.NaN) - (parseTimestamp(sealed_at) ?? Number.NaN);
  // Also false where one of them is no time.
  if (age_ms <= oldest_ms && age_ms >= -ahead_ms) return;
  const when = age_ms > 0 ? "too long before" : "too long after";
  throw refusal(id, `it was sealed at ${sealed_at}, ${when} the bus accepted it at ${timestamp}`);
}
