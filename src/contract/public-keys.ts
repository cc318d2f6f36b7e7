import { type Static, Type } from "typebox";
import { AgentId, Timestamp } from "./messages.ts";
import { base64urlOf, Thumbprint } from "./sealed.ts";

const strict = { additionalProperties: false } as const;

function publicKey<Curve extends "X25519" | "Ed25519">(crv: Curve) {
  return Type.Object({ kty: Type.Literal("OKP"), crv: Type.Literal(crv), x: base64urlOf(32), kid: Thumbprint }, strict);
}

export type PublicKeys = Static<typeof PublicKeys>;
export const PublicKeys = Type.Object(
  {
    encryption: publicKey("X25519"),
    signing: publicKey("Ed25519"),
    created_at: Timestamp,
  },
  { ...strict, $id: "PublicKeys", description: "What an agent publishes: JWKs, `kid` being the RFC 7638 thumbprint." },
);

/** What an agent has published, as somebody else looks it up. */
export const KeysOfAgent = Type.Object(
  {
    agent_id: AgentId,
    keys: PublicKeys,
    fingerprint: Type.String({ description: "Of both keys; to be compared by another way than this bus." }),
  },
  { ...strict, $id: "AgentKeys" },
);
