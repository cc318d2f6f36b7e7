import { type Static, Type } from "typebox";
import type { Brand } from "../base/brand.ts";
import { limits } from "./limits.ts";
import { Provenance } from "./provenance.ts";
import { Sealed } from "./sealed.ts";

export type AgentId = Brand<string, "AgentId">;
export type MessageId = Brand<string, "MessageId">;
export type ConversationId = Brand<string, "ConversationId">;
export type LeaseId = Brand<string, "LeaseId">;
/** Where a reader stands in a list or in the stream of events. Opaque; valid for 24 hours. */
export type Cursor = Brand<string, "Cursor">;

const uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
const uuidV7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
const name = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$";

export const AgentId = Type.Unsafe<AgentId>(
  Type.String({ pattern: name, description: "An agent's id, or one of its aliases." }),
);
/** The name of a group or capability: spelled like an agent id. */
export const Name = Type.String({ pattern: name, description: "Spelled like an agent id." });
export const MessageId = Type.Unsafe<MessageId>(Type.String({ pattern: uuid, description: "UUIDv7." }));
export const NewMessageId = Type.Unsafe<MessageId>(
  Type.String({ pattern: uuidV7, description: "A UUIDv7 made by the client; unique for ever." }),
);
export const ConversationId = Type.Unsafe<ConversationId>(Type.String({ pattern: uuid, description: "UUIDv7." }));
export const LeaseId = Type.Unsafe<LeaseId>(Type.String({ minLength: 1, maxLength: 64 }));
export const Cursor = Type.Unsafe<Cursor>(Type.String({ minLength: 1, maxLength: 512 }));
export const Timestamp = Type.String({
  pattern: "^\\d{4}-\\d\\d-\\d\\d[Tt]\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?([Zz]|[+-]\\d\\d:\\d\\d)$",
  description: "RFC 3339; answers are in UTC with milliseconds.",
});

/** From most to least pressing; the index is the rank. */
export const priorities = ["urgent", "high", "normal", "low"] as const;
export type Priority = (typeof priorities)[number];
export const Priority = Type.Unsafe<Priority>(Type.Enum([...priorities]));

export type MessageType = "task" | "status" | "question" | "response";
export const MessageType = Type.Unsafe<MessageType>(Type.Enum(["task", "status", "question", "response"]));

/**
 * The moments of an agent's work, from the most to the least intrusive; the index is the rank. A message whose `when` is
 * `tool` may reach the agent between two tool calls or at any later moment of this list, but never by interrupting it.
 */
export const moments = ["interrupt", "tool", "turn", "digest"] as const;
export type Moment = (typeof moments)[number];
export const Moment = Type.Unsafe<Moment>(Type.Enum([...moments]));

/** What becomes of a message whose recipient is not there: keep it, give it to an equally able agent, or refuse it. */
export type OfflinePolicy = "hold" | "reroute" | "fail";
export const OfflinePolicy = Type.Unsafe<OfflinePolicy>(Type.Enum(["hold", "reroute", "fail"]));

export const deliveryStates = ["scheduled", "ready", "leased", "held", "acknowledged", "dead"] as const;
export type DeliveryState = (typeof deliveryStates)[number];
export const DeliveryState = Type.Unsafe<DeliveryState>(Type.Enum([...deliveryStates]));

/** What happened to a delivery, in the words of its ledger. */
export const ledgerEvents = [
  "accepted",
  "imported",
  "scheduled",
  "ready",
  "leased",
  "injected",
  "seen",
  "acknowledged",
  "rejected",
  "lease_extended",
  "lease_expired",
  "rerouted",
  "held",
  "dead",
  "redriven",
] as const;
export type LedgerEvent = (typeof ledgerEvents)[number];
export const LedgerEvent = Type.Unsafe<LedgerEvent>(Type.Enum([...ledgerEvents]));

export type Metadata = { readonly [field: string]: unknown };
export const Metadata = Type.Unsafe<Metadata>(
  Type.Object({}, { additionalProperties: true, description: "Any JSON object." }),
);

const strict = { additionalProperties: false } as const;

/** More than one recipient, or one that the bus picks. */
export type Address = Static<typeof Address>;
export const Address = Type.Union([
  Type.Object({ group: Name }, strict),
  Type.Object({ capability: Name }, strict),
  Type.Object({ broadcast: Type.Literal(true), confirm: Type.Optional(Type.Boolean()) }, strict),
]);

/** What was said. Immutable, but for `acknowledged`. */
export type Message = Static<typeof Message>;
export const Message = Type.Object(
  {
    id: MessageId,
    from_agent: AgentId,
    to_agent: Type.String({ description: "The agent, or the address as sent: `group:NAME`, `broadcast`." }),
    content: Type.String(),
    priority: Priority,
    timestamp: Timestamp,
    acknowledged: Type.Boolean({ description: "Whether every delivery of it is acknowledged." }),
    conversation_id: ConversationId,
    message_type: MessageType,
    metadata: Metadata,
    when: Moment,
    offline: OfflinePolicy,
    provenance: Provenance,
    to: Type.Optional(Address),
    reply_to: Type.Optional(MessageId),
    deliver_at: Type.Optional(Timestamp),
    expires_at: Type.Optional(Timestamp),
    unreadable: Type.Optional(
      Type.String({
        description: "Why what was said cannot be shown: damaged or tampered with on disk. Content is then empty.",
      }),
    ),
    sealed: Type.Optional(Sealed),
  },
  { ...strict, $id: "Message" },
);

export type NewMessage = Static<typeof NewMessage>;
export const NewMessage = Type.Object(
  {
    to_agent: Type.Optional(AgentId),
    to: Type.Optional(Address),
    content: Type.Optional(Type.String({ maxLength: limits.content_length })),
    sealed: Type.Optional(Sealed),
    from_agent: Type.Optional(AgentId),
    id: Type.Optional(NewMessageId),
    idempotency_key: Type.Optional(Type.String({ minLength: 1, maxLength: limits.idempotency_key_length })),
    priority: Type.Optional(Priority),
    message_type: Type.Optional(MessageType),
    conversation_id: Type.Optional(ConversationId),
    reply_to: Type.Optional(MessageId),
    metadata: Type.Optional(Metadata),
    deliver_at: Type.Optional(Timestamp),
    expires_at: Type.Optional(Timestamp),
    when: Type.Optional(Moment),
    offline: Type.Optional(OfflinePolicy),
  },
  {
    ...strict,
    description:
      "Exactly one of `to_agent` and `to` names the recipient, and exactly one of `content` and `sealed` says what is sent. " +
      "A sealed message names its `id` and `from_agent`, and has no `metadata`.",
  },
);

/** A message in the hands of its recipient, until the lease ends. */
export type Delivery = Static<typeof Delivery>;
export const Delivery = Type.Object(
  {
    message: Message,
    agent_id: AgentId,
    lease_id: LeaseId,
    lease_expires_at: Timestamp,
    attempt: Type.Integer({ minimum: 1, description: "1 the first time, one more each time it is handed out again." }),
  },
  { ...strict, $id: "Delivery" },
);

/** How a message's way to one recipient stands. */
export type DeliveryStatus = Static<typeof DeliveryStatus>;
export const DeliveryStatus = Type.Object(
  {
    message_id: MessageId,
    agent_id: AgentId,
    state: DeliveryState,
    attempt: Type.Integer({ minimum: 0, description: "Times it has been handed out." }),
    available_at: Type.Optional(Timestamp),
    lease_id: Type.Optional(LeaseId),
    lease_expires_at: Type.Optional(Timestamp),
    reason: Type.Optional(
      Type.String({
        description:
          "Why it is scheduled, held or dead; `lease_lost` where the caller's lease had ended and nothing was done.",
      }),
    ),
  },
  { ...strict, $id: "DeliveryStatus" },
);

export type LedgerEntry = Static<typeof LedgerEntry>;
export const LedgerEntry = Type.Object(
  {
    at: Timestamp,
    event: LedgerEvent,
    actor: Type.String({ description: "Who caused it: an agent, `operator`, or `hivepost` itself." }),
    reason: Type.Optional(Type.String()),
    agent_id: Type.Optional(AgentId),
  },
  strict,
);

export type TracedMessage = Static<typeof TracedMessage>;
export const TracedMessage = Type.Object(
  {
    ...Message.properties,
    deliveries: Type.Array(DeliveryStatus),
    ledger: Type.Array(LedgerEntry),
  },
  { ...strict, $id: "TracedMessage" },
);

/** History or mail that another path has already delivered. */
export type ImportedMessage = Static<typeof ImportedMessage>;
export const ImportedMessage = Type.Object(
  {
    id: Type.Optional(NewMessageId),
    from_agent: AgentId,
    to_agent: AgentId,
    content: Type.String({ maxLength: limits.content_length }),
    timestamp: Timestamp,
    priority: Type.Optional(Priority),
    message_type: Type.Optional(MessageType),
    conversation_id: Type.Optional(ConversationId),
    metadata: Type.Optional(Metadata),
  },
  strict,
);

export type DeadLetter = Static<typeof DeadLetter>;
export const DeadLetter = Type.Object(
  {
    message: Message,
    agent_id: AgentId,
    attempt: Type.Integer(),
    reason: Type.String(),
    died_at: Timestamp,
  },
  { ...strict, $id: "DeadLetter" },
);

const Depth = Type.Object(
  { ready: Type.Integer(), scheduled: Type.Integer(), leased: Type.Integer(), held: Type.Integer() },
  strict,
);

export type Inbox = Static<typeof Inbox>;
export const Inbox = Type.Object(
  {
    agent_id: AgentId,
    depth: Type.Object({ urgent: Depth, high: Depth, normal: Depth, low: Depth }, strict),
    total: Type.Integer({ description: "Undelivered: ready, scheduled, leased and held." }),
    dead: Type.Integer(),
    limit: Type.Integer({ description: "Depth at which new messages are refused." }),
    oldest_age_ms: Type.Optional(Type.Integer({ description: "How long the oldest undelivered message has waited." })),
    next_available_at: Type.Optional(Timestamp),
    next_lease_expires_at: Type.Optional(Timestamp),
    explanation: Type.Array(Type.String(), { description: "Why nothing, or not everything, is delivered now." }),
  },
  { ...strict, $id: "Inbox" },
);
