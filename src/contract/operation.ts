import type { TSchema } from "typebox";
import type { AuditEventName } from "./audit.ts";
import type { TokenScope } from "./tokens.ts";

/** Who may call an operation; `open` needs no token. */
export type Scope = "open" | TokenScope;

/**
 * Whose object it touches, where a caller may act only as one agent: the agent that `agent_id` names; who a message is from;
 * a lease, message or conversation of its own; lists filtered to its own; or what is not for single agents (`hive`) or for
 * everyone (`nothing`).
 */
export type Touches =
  | "agent"
  | "sender"
  | "lease"
  | "message"
  | "messages"
  | "conversation"
  | "conversations"
  | "hive"
  | "nothing";

/**
 * What a request is counted as where an agent's requests are limited.
 *
 * - `send`: puts messages into inboxes; a batch counts as many. `manage`: changes agents and conversations. `read`: the rest.
 * - `finish`: ends or keeps a lease, and is never limited: whoever has work in hand must be able to bring it to an end.
 */
export type RateClass = "send" | "read" | "manage" | "finish";

/**
 * What the audit log tells of an operation. `refusals`: only that it was forbidden to somebody; of every other that too. `each`:
 * every time it was done. `reads`: that somebody who is no agent did it; what is alike within a minute is counted.
 */
export type AuditRule =
  | "refusals"
  | {
      readonly entries: "each" | "reads";
      readonly event: AuditEventName;
      /** It only takes rights away: done also while nothing can be noted, and noted as soon as that can be. */
      readonly withdraws?: true;
      /** Fields of input and output that the entry shows, of lists the length; never what agents wrote. */
      readonly fields?: readonly string[];
    };

export type Operation = {
  /** One sentence, imperative: what OpenAPI, MCP and `--help` show. */
  readonly summary: string;
  /** Who may call it besides `admin`; `agent` only for what is its own. */
  readonly scopes: readonly Scope[];
  readonly touches: Touches;
  readonly rate_class: RateClass;
  readonly audited: AuditRule;
  readonly input: TSchema;
  readonly output: TSchema;
  /** Its answer holds a secret, which must not stand in a model's transcript: it is no MCP tool. */
  readonly answers_secret?: true;
  /** HTTP status of success. */
  readonly status?: 200 | 201;
};
