import { type Static, Type } from "typebox";
import { Timestamp } from "./messages.ts";

/** Everything that the audit log tells of, and nothing else. */
export const auditEvents = [
  "authentication_failed",
  /** Somebody who is known asked for what is not theirs (`forbidden`). */
  "access_denied",
  "token_created",
  "token_revoked",
  "key_rotated",
  "keys_rewrapped",
  "messages_reencrypted",
  "agent_keys_changed",
  /** Somebody who is no agent read what agents wrote. */
  "messages_read",
  "audit_read",
  "messages_imported",
  "messages_forgotten",
  "dead_letters_redriven",
  "agent_removed",
  "hive_backed_up",
  "hive_restored",
  "server_started",
  "server_stopped",
  /** A crash had left a line unfinished; it was taken out at the next start. */
  "audit_mended",
  /** At a start the log was not as it was left. */
  "audit_damaged",
] as const;
export type AuditEventName = (typeof auditEvents)[number];

export const AuditEvent = Type.Unsafe<AuditEventName>(Type.Enum([...auditEvents]));

export type AuditDetail = Static<typeof AuditDetail>;
const AuditDetail = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
  description: "A few facts; never tokens, keys or message content. `count`: so often since `from`.",
});

/** One line of the audit log. */
export type AuditEntry = Static<typeof AuditEntry>;
export const AuditEntry = Type.Object(
  {
    seq: Type.Integer({ minimum: 1, description: "Counts the entries of the hive, without a gap." }),
    at: Timestamp,
    event: AuditEvent,
    actor: Type.String({ description: "Who did it; `system` for the server itself, `others` for many at once." }),
    key_id: Type.Optional(Type.String({ description: "The public name of the token that was used." })),
    address: Type.Optional(Type.String({ description: "Where it came from." })),
    detail: AuditDetail,
    prev: Type.String({ description: "`mac` of the entry before." }),
    mac: Type.String({ description: "HMAC-SHA-256 of all of the above, under the hive's audit key, as base64url." }),
  },
  { additionalProperties: false, $id: "AuditEntry" },
);
