import { type Static, Type } from "typebox";
import { AgentId, Timestamp } from "./messages.ts";

/** What a token may do, from least to most: `agent` acts as one agent and nothing else. */
export type TokenScope = "agent" | "observe" | "operate" | "admin";
export const tokenScopes = ["agent", "observe", "operate", "admin"] as const satisfies readonly TokenScope[];

const strict = { additionalProperties: false } as const;
const Scopes = Type.Array(
  Type.Unsafe<TokenScope>(
    Type.Enum([...tokenScopes], {
      description:
        "agent: act as agent_id and nothing else; observe: read everything; operate: everything but tokens and keys; " +
        "admin: everything",
    }),
  ),
  { minItems: 1, maxItems: tokenScopes.length, uniqueItems: true },
);

/** The public part of a token's text: it names the token and is no secret. */
export const KeyId = Type.String({
  pattern: "^[0-9A-Za-z]{11}$",
  description: "11 letters and digits that name a token; no secret.",
});

export type TokenInfo = Static<typeof TokenInfo>;
export const TokenInfo = Type.Object(
  {
    key_id: KeyId,
    scopes: Scopes,
    agent_id: Type.Optional(AgentId),
    created_at: Timestamp,
    created_by: Type.String({ description: "Who made it." }),
    expires_at: Type.Optional(Timestamp),
    last_used_at: Type.Optional(Type.String({ format: "date-time", description: "To the minute." })),
    revoked_at: Type.Optional(Timestamp),
  },
  { ...strict, $id: "TokenInfo" },
);

export type NewToken = Static<typeof NewToken>;
export const NewToken = Type.Object(
  { scopes: Scopes, agent_id: Type.Optional(AgentId), expires_at: Type.Optional(Timestamp) },
  strict,
);

export type IssuedToken = Static<typeof IssuedToken>;
export const IssuedToken = Type.Object(
  {
    ...TokenInfo.properties,
    token: Type.String({ description: "The secret itself: shown this once, kept nowhere." }),
  },
  { ...strict, $id: "IssuedToken" },
);
