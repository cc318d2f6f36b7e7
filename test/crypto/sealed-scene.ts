import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import { base64url } from "jose";
import { defined } from "../../src/base/defined.ts";
import { BusError, type ErrorCode } from "../../src/contract/errors.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import type { SealedToAgents } from "../../src/contract/sealed.ts";
import { encryptToAgents } from "../../src/crypto/sealed/encryption.ts";
import type { Delivered, Envelope } from "../../src/crypto/sealed/envelope.ts";
import { type AgentKeys, audienceOf, makeAgentKeys, publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { open } from "../../src/crypto/sealed/open.ts";
import { seal, type ToSeal } from "../../src/crypto/sealed/seal.ts";
import { ada, conversationId, messageId, monday_ms } from "../support/fixtures.ts";

export const [adaKeys, bobKeys, cleoKeys, eveKeys] = [
  await makeAgentKeys(monday_ms),
  await makeAgentKeys(monday_ms),
  await makeAgentKeys(monday_ms),
  await makeAgentKeys(monday_ms),
];

export const sealed_at = "2026-01-05T09:00:00.000Z";
const message_id = messageId();
const conversation_id = conversationId();

export const recipient = (agent_id: string, keys: AgentKeys) => ({
  agent_id: agent_id as AgentId,
  keys: publicKeysOf(keys),
});

export function toSeal(fields: Partial<ToSeal> = {}): ToSeal {
  return {
    message_id,
    conversation_id,
    from: ada,
    to: "bob",
    recipients: [recipient("bob", bobKeys)],
    sealed_at,
    payload: { content: "the build is green", metadata: { run: 7 } },
    ...fields,
  };
}

export const sealForBob = (fields: Partial<ToSeal> = {}) => seal(toSeal(fields), adaKeys);

/** The message as the bus delivers it. */
export function delivered(fields: Partial<Delivered> = {}): Delivered {
  return { id: message_id, conversation_id, from_agent: ada, to_agent: "bob", timestamp: sealed_at, ...fields };
}

/** The reader trusts Ada's keys, unless told otherwise. */
export function openAs(keys: AgentKeys, sealed: unknown, envelope: Delivered = delivered()) {
  return open(sealed, envelope, { own_keys: [keys], sender_keys: [publicKeysOf(adaKeys)] });
}

export async function refuses(work: Promise<unknown>, code: ErrorCode | readonly ErrorCode[], words = /./) {
  const codes: readonly ErrorCode[] = typeof code === "string" ? [code] : code;
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof BusError, String(error));
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
    assert.match(error.message, words);
    return true;
  });
}

export const encode = (value: unknown) => base64url.encode(JSON.stringify(value));
export const decode = (text: string): unknown => JSON.parse(new TextDecoder().decode(base64url.decode(text)));

export const envelopeOf = ({ message_id, conversation_id, from, to, sealed_at }: ToSeal): Envelope =>
  defined({ message_id, conversation_id, from, to, sealed_at });

/** What an honest sender would sign: header and payload of the inner JWS. */
export async function honest(message: ToSeal = toSeal(), sender = adaKeys) {
  const header = {
    alg: "EdDSA",
    kid: sender.signing.kid,
    encryption_kid: sender.encryption.kid,
    typ: "hivepost-sealed+jws",
    envelope: envelopeOf(message),
    audience: await audienceOf(message.recipients.map((it) => it.keys.encryption.kid)),
  };
  return { header, payload: message.payload };
}

/** A compact JWS with any header at all, signed with Ed25519. */
export function signAnything(header: unknown, payload: unknown, sender = adaKeys): string {
  return signText(header, JSON.stringify(payload), sender);
}

/** The same of a payload in words that no value would be written in. */
export function signText(header: unknown, payload: string, sender = adaKeys): string {
  const input = `${encode(header)}.${base64url.encode(payload)}`;
  const key = createPrivateKey({ format: "jwk", key: { ...sender.signing } });
  return `${input}.${base64url.encode(sign(null, Buffer.from(input), key))}`;
}

/** Anything at all, encrypted as a message: what somebody who has the plaintext can make of it. */
export function encryptAnything(text: string, message: ToSeal = toSeal()): Promise<SealedToAgents> {
  const bytes = new TextEncoder().encode(text);
  return encryptToAgents(bytes, { purpose: "sealed", envelope: envelopeOf(message) }, message.recipients);
}
