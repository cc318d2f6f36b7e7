import { Type } from "typebox";
import { AuditEntry, AuditEvent } from "./audit.ts";
import { KeyStatus, NewMasterKey } from "./keys.ts";
import { limits } from "./limits.ts";
import { AgentId, Cursor, Timestamp } from "./messages.ts";
import type { Operation } from "./operation.ts";
import { PageLimit } from "./search.ts";
import { IssuedToken, KeyId, NewToken, TokenInfo } from "./tokens.ts";

const strict = { additionalProperties: false } as const;

/** The part of the table that carries no mail: tokens, keys, the audit log, and how the server is. */
export const managing = {
  createToken: {
    summary: "Make a token; its secret is shown this once.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "manage",
    audited: { entries: "each", event: "token_created", fields: ["key_id", "agent_id", "expires_at"] },
    input: NewToken,
    output: IssuedToken,
    answers_secret: true,
    status: 201,
  },
  listTokens: {
    summary: "List the tokens of this hive, the newest first, with their last use; never their secrets.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object({ agent_id: Type.Optional(AgentId) }, strict),
    output: Type.Object({ tokens: Type.Array(TokenInfo) }, strict),
  },
  revokeToken: {
    summary: "Make a token void at once, and close every connection that was opened with it.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "manage",
    audited: { entries: "each", event: "token_revoked", withdraws: true, fields: ["key_id", "agent_id"] },
    input: Type.Object({ key_id: KeyId }, strict),
    output: TokenInfo,
  },
  getKeys: {
    summary:
      "Show the keys that what was said is sealed with on disk, and how far sealing it anew has got; never a key.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object({}, strict),
    output: KeyStatus,
  },
  rotateKeys: {
    summary: "Seal under a new key from now on; what is sealed already stays readable.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "manage",
    audited: { entries: "each", event: "key_rotated", fields: ["epoch"] },
    input: Type.Object({}, strict),
    output: KeyStatus,
  },
  rewrapKeys: {
    summary: "Go over to a new master key; no message is touched, and the old key is kept for old backups.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "manage",
    audited: { entries: "each", event: "keys_rewrapped", fields: ["master_key", "master_key_source"] },
    input: NewMasterKey,
    output: KeyStatus,
  },
  reencryptMessages: {
    summary:
      "Seal everything anew that older keys have sealed, while the server serves; also the way to go on with it.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "manage",
    audited: "refusals",
    input: Type.Object({}, strict),
    output: KeyStatus,
  },
  readAudit: {
    summary: "Read the audit log, the latest entry first: who did what to tokens, keys, agents and history.",
    scopes: ["admin"],
    touches: "hive",
    rate_class: "read",
    audited: { entries: "reads", event: "audit_read", fields: ["entries"] },
    input: Type.Object(
      {
        event: Type.Optional(AuditEvent),
        actor: Type.Optional(
          Type.String({ minLength: 1, maxLength: limits.name_length, description: "Only what this one did." }),
        ),
        since: Type.Optional(Timestamp),
        until: Type.Optional(Timestamp),
        limit: PageLimit,
        cursor: Type.Optional(Cursor),
      },
      strict,
    ),
    output: Type.Object({ entries: Type.Array(AuditEntry), next_cursor: Type.Optional(Cursor) }, strict),
  },
  health: {
    summary: "Say whether the server works; with a token, in detail.",
    scopes: ["open"],
    touches: "nothing",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object({}, strict),
    output: Type.Object({ status: Type.Enum(["ok", "degraded", "stopping"]) }, { additionalProperties: true }),
  },
} as const satisfies Record<string, Operation>;
