import type { PublicKeys } from "../../src/contract/public-keys.ts";
import type { SealedToAgents, SealedToConversation } from "../../src/contract/sealed.ts";

/*
 * Seals as a bus sees them: well-formed, and nothing in them that it could open.
 */

export const aConversationSeal: SealedToConversation = {
  protected: "e30",
  iv: "a".repeat(16),
  ciphertext: "Y2lwaGVydGV4dA",
  tag: "b".repeat(22),
};

/** For whoever has the keys with these thumbprints. */
export function aSeal(...kids: readonly string[]): SealedToAgents {
  return {
    ...aConversationSeal,
    recipients: kids.map((kid) => ({
      header: {
        alg: "ECDH-ES+A256KW",
        kid,
        epk: { kty: "OKP", crv: "X25519", x: "x".repeat(43) },
      },
      encrypted_key: "k".repeat(54),
    })),
  };
}

/** Keys by shape alone, each letter others. */
export function shapeOfKeys(letter: string): PublicKeys {
  const text = letter.repeat(43);
  return {
    encryption: { kty: "OKP", crv: "X25519", x: text, kid: text },
    signing: { kty: "OKP", crv: "Ed25519", x: text, kid: text },
    created_at: "2026-01-05T09:00:00.000Z",
  };
}
