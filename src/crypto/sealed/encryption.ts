import { type CryptoKey, FlattenedEncrypt, flattenedDecrypt, GeneralEncrypt } from "jose";
import { Type } from "typebox";
import { Compile } from "typebox/compile";
import { BusError } from "../../contract/errors.ts";
import type { AgentId } from "../../contract/messages.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import {
  EphemeralKey,
  type Sealed,
  type SealedRecipient,
  type SealedToAgents,
  type SealedToConversation,
} from "../../contract/sealed.ts";
import { decodeBase64url, isCanonicalBase64url } from "./base64url.ts";
import { Envelope, type Purpose, readHeader, refusal } from "./envelope.ts";
import { type AgentKeys, areGenuine, importKey } from "./keys.ts";

const strict = { additionalProperties: false } as const;
const enc = "A256GCM";
const agentAlgorithm = "ECDH-ES+A256KW";

const AgentsHeader = Compile(
  Type.Object(
    { enc: Type.Literal(enc), typ: Type.String(), envelope: Envelope, epk: Type.Optional(EphemeralKey) },
    strict,
  ),
);
const ConversationHeader = Compile(
  Type.Object(
    {
      alg: Type.Literal("dir"),
      enc: Type.Literal(enc),
      kid: Type.String(),
      typ: Type.String(),
      envelope: Envelope,
    },
    strict,
  ),
);

/** An agent that shall be able to open it, with the keys that the sender trusts. */
export type Recipient = { readonly agent_id: AgentId; readonly keys: PublicKeys };

/**
 * Encrypts once, with the key wrapped for each recipient.
 *
 * @throws BusError `invalid_input` where a recipient's key is none, or is named twice
 */
export async function encryptToAgents(
  plaintext: Uint8Array,
  { purpose, envelope }: { readonly purpose: Purpose; readonly envelope: Envelope },
  recipients: readonly Recipient[],
): Promise<SealedToAgents> {
  const jwe = new GeneralEncrypt(plaintext).setProtectedHeader({ enc, typ: `hivepost-${purpose}+jwe`, envelope });
  const keys = await Promise.all(requireDistinct(recipients).map(importRecipient));
  for (const { kid, key } of keys) jwe.addRecipient(key).setUnprotectedHeader({ alg: agentAlgorithm, kid });
  const names = recipients.map((it) => it.agent_id).join(", ");
  const { protected: head, recipients: wrapped, iv, ciphertext, tag } = await unlessUnusable(names, jwe.encrypt());
  // A JWE made this way always has these parts.
  return { protected: head, recipients: wrapped, iv, ciphertext, tag } as SealedToAgents;
}

/** Encrypts under a key that its readers already share. */
export async function encryptToConversation(
  plaintext: Uint8Array,
  envelope: Envelope,
  { kid, secret }: { readonly kid: string; readonly secret: Uint8Array },
): Promise<SealedToConversation> {
  const {
    protected: head,
    iv,
    ciphertext,
    tag,
  } = await new FlattenedEncrypt(plaintext)
    .setProtectedHeader({ alg: "dir", enc, kid, typ: "hivepost-sealed+jwe", envelope })
    .encrypt(secret);
  // A JWE made this way always has these parts.
  return { protected: head, iv, ciphertext, tag } as SealedToConversation;
}

/** @throws BusError `sealed_invalid`, and `key_unknown` where it was sealed for none of these keys */
export async function decryptForAgent(
  sealed: SealedToAgents,
  expected: { readonly id: string; readonly purpose: Purpose },
  ownKeys: readonly AgentKeys[],
): Promise<{ envelope: Envelope; plaintext: Uint8Array }> {
  const { recipients, ...jwe } = sealed;
  const header = readHeader(AgentsHeader, sealed.protected);
  if (header?.typ !== `hivepost-${expected.purpose}+jwe`) throw wrongHeader(expected.id);
  const { own, entry } = findOwn(recipients, ownKeys, expected.id);
  requireCanonical([jwe.iv, jwe.ciphertext, jwe.tag, entry.encrypted_key], expected.id);
  requireCanonicalPoint(header.epk ?? entry.header.epk, expected.id);
  const plaintext = await decrypt({ ...jwe, ...entry }, await importKey(own.encryption), expected.id, agentAlgorithm);
  return { envelope: header.envelope, plaintext };
}

/** @throws BusError `sealed_invalid`, and `key_unknown` where the key it names is not among these */
export async function decryptForConversation<Key extends { readonly kid: string; readonly secret: Uint8Array }>(
  sealed: SealedToConversation,
  id: string,
  keys: readonly Key[],
): Promise<{ envelope: Envelope; plaintext: Uint8Array; key: Key }> {
  const header = readHeader(ConversationHeader, sealed.protected);
  if (header?.typ !== "hivepost-sealed+jwe") throw wrongHeader(id);
  const key = keys.find((it) => it.kid === header.kid);
  if (!key) {
    throw new BusError(
      "key_unknown",
      `message ${id} is sealed with the conversation key ${header.kid}, which is not among those given; fetch the conversation's keys and open it again`,
    );
  }
  requireCanonical([sealed.iv, sealed.ciphertext, sealed.tag], id);
  return { envelope: header.envelope, plaintext: await decrypt(sealed, key.secret, id, "dir"), key };
}

function requireDistinct(recipients: readonly Recipient[]): readonly Recipient[] {
  if (recipients.length === 0) throw new BusError("invalid_input", "recipients: name at least one to seal for");
  if (new Set(recipients.map((it) => it.keys.encryption.kid)).size === recipients.length) return recipients;
  throw new BusError("invalid_input", "recipients: the same key is named twice; name each agent once");
}

async function importRecipient({ agent_id, keys }: Recipient): Promise<{ kid: string; key: CryptoKey }> {
  if (!(await areGenuine(keys))) {
    throw new BusError(
      "invalid_input",
      `the key published for ${agent_id} is not the one that its kid names; let ${agent_id} publish its keys again`,
    );
  }
  return { kid: keys.encryption.kid, key: await unlessUnusable(agent_id, importKey(keys.encryption)) };
}

/** WebCrypto refuses points of low order, with which nothing would be secret. */
async function unlessUnusable<T>(agents: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new BusError("invalid_input", `a key published for ${agents} cannot be used; let it publish a new one`, {
      cause,
    });
  }
}

function findOwn(recipients: readonly SealedRecipient[], ownKeys: readonly AgentKeys[], id: string) {
  for (const own of ownKeys) {
    const entry = recipients.find((it) => it.header.kid === own.encryption.kid);
    if (entry) return { own, entry };
  }
  throw new BusError(
    "key_unknown",
    `message ${id} is sealed for ${recipients.length} key(s), none of which is yours; ask its sender to send again with your present key`,
  );
}

function requireCanonical(parts: readonly string[], id: string): void {
  if (parts.every(isCanonicalBase64url)) return;
  throw refusal(id, "a part of it is not base64url in its one form");
}

/** 2^255 − 19, the field of Curve25519. */
const field = 2n ** 255n - 19n;

/**
 * X25519 ignores the top bit and reduces what is above the field, and the key that is derived does not depend on the text
 * of `epk`: so several texts would open the same message. Makers always write the least. Source: RFC 7748, section 5.
 */
function requireCanonicalPoint(epk: { readonly x: string } | undefined, id: string): void {
  const bytes = epk && decodeBase64url(epk.x);
  const u = bytes?.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
  if (u === undefined || u >= field) throw refusal(id, "its ephemeral key is not written in its one form");
}

async function decrypt(
  jwe: SealedToConversation & Partial<SealedRecipient>,
  key: CryptoKey | Uint8Array,
  id: string,
  algorithm: string,
): Promise<Uint8Array> {
  try {
    const { plaintext } = await flattenedDecrypt(jwe, key, {
      keyManagementAlgorithms: [algorithm],
      contentEncryptionAlgorithms: [enc],
    });
    return plaintext;
  } catch (cause) {
    throw refusal(id, "it cannot be decrypted, so it was changed on its way", { cause });
  }
}

function wrongHeader(id: string): BusError {
  return refusal(id, "its protected header is not of the one form allowed");
}

/** Whether each reader's key comes with it, or all share the conversation's. */
export function isToAgents(sealed: Sealed): sealed is SealedToAgents {
  return "recipients" in sealed;
}
