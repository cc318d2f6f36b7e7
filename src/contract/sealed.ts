import { type Static, type TString, Type } from "typebox";
import { limits } from "./limits.ts";

/*
 * What of end-to-end sealing crosses the wire. The bus stores and routes these objects and cannot look into them; making
 * and opening them is src/crypto/sealed/. Nothing here may carry a field that the form does not name: in JOSE a field too
 * many is an instruction.
 */

const strict = { additionalProperties: false } as const;

/** Base64url without padding of exactly so many bytes. */
export function base64urlOf(bytes: number): TString {
  return Type.String({ pattern: `^[A-Za-z0-9_-]{${Math.ceil((bytes * 4) / 3)}}$` });
}

/** RFC 7638: the SHA-256 of the public key. */
export const Thumbprint = base64urlOf(32);

/** The sender's half of a key agreement. It stands in the protected header where there is one recipient, else with each. */
export const EphemeralKey = Type.Object(
  { kty: Type.Literal("OKP"), crv: Type.Literal("X25519"), x: base64urlOf(32) },
  strict,
);

export type SealedRecipient = Static<typeof SealedRecipient>;
export const SealedRecipient = Type.Object(
  {
    header: Type.Object(
      {
        alg: Type.Literal("ECDH-ES+A256KW"),
        kid: Thumbprint,
        epk: Type.Optional(EphemeralKey),
      },
      strict,
    ),
    encrypted_key: base64urlOf(40),
  },
  strict,
);

const encrypted = {
  protected: Type.String({ pattern: "^[A-Za-z0-9_-]+$", maxLength: limits.sealed_header_length }),
  iv: base64urlOf(12),
  ciphertext: Type.String({ pattern: "^[A-Za-z0-9_-]+$", maxLength: limits.sealed_length }),
  tag: base64urlOf(16),
};

export type SealedToAgents = Static<typeof SealedToAgents>;
export const SealedToAgents = Type.Object(
  {
    ...encrypted,
    recipients: Type.Array(SealedRecipient, { minItems: 1, maxItems: limits.participants }),
  },
  { ...strict, description: "JWE General JSON (RFC 7516): one entry for each agent that can open it." },
);

export type SealedToConversation = Static<typeof SealedToConversation>;
export const SealedToConversation = Type.Object(encrypted, {
  ...strict,
  description: "JWE Flattened JSON (RFC 7516) under the conversation's key, which its protected header names.",
});

/** A payload that only its recipients can read, with its sender's signature inside. */
export type Sealed = Static<typeof Sealed>;
export const Sealed = Type.Union([SealedToAgents, SealedToConversation]);
