import { type Static, Type } from "typebox";
import { Acknowledged, AcknowledgedEach, Acknowledgements } from "./acknowledgements.ts";
import { Agent, AgentRegistration, Health, Heartbeat } from "./agents.ts";
import { Conversation, ConversationStatus, NewConversation } from "./conversations.ts";
import { errorStatus } from "./errors.ts";
import { limits } from "./limits.ts";
import { managing } from "./managing.ts";
import {
  AgentId,
  ConversationId,
  Cursor,
  DeadLetter,
  Delivery,
  DeliveryStatus,
  ImportedMessage,
  Inbox,
  LeaseId,
  Message,
  MessageId,
  Moment,
  Name,
  NewMessage,
  Priority,
  TracedMessage,
} from "./messages.ts";
import type { Operation } from "./operation.ts";
import { KeysOfAgent } from "./public-keys.ts";
import type { OperationName } from "./routes.ts";
import { PageLimit, SearchQuery } from "./search.ts";

const strict = { additionalProperties: false } as const;
const Reason = Type.String({ maxLength: limits.reason_length });
const LeaseMs = Type.Integer(limits.lease_ms);
const CodeEnum = Type.Enum(Object.keys(errorStatus));
const Failure = Type.Object({ code: CodeEnum, message: Type.String() }, strict);

/** Everything the bus can do. REST, OpenAPI, MCP, the CLI, the client and the guard are read off this table. */
export const operations = {
  sendMessage: {
    summary: "Send a message to an agent, a group, any agent with a capability, or everyone.",
    scopes: ["agent", "operate"],
    touches: "sender",
    rate_class: "send",
    audited: "refusals",
    input: NewMessage,
    output: Message,
    status: 201,
  },
  sendMessages: {
    summary: "Send many messages in one request; each succeeds or fails by itself.",
    scopes: ["agent", "operate"],
    touches: "sender",
    rate_class: "send",
    audited: "refusals",
    input: Type.Object({ messages: Type.Array(NewMessage, { minItems: 1, maxItems: limits.batch }) }, strict),
    output: Type.Object(
      {
        results: Type.Array(
          Type.Union([
            Type.Object({ ok: Type.Literal(true), message: Message }, strict),
            Type.Object({ ok: Type.Literal(false), error: Failure }, strict),
          ]),
        ),
      },
      strict,
    ),
  },
  importMessages: {
    summary: "Store history that another path has already delivered; it is never delivered again.",
    scopes: ["operate"],
    touches: "hive",
    rate_class: "send",
    audited: { entries: "each", event: "messages_imported", fields: ["imported", "already_present"] },
    input: Type.Object({ messages: Type.Array(ImportedMessage, { minItems: 1, maxItems: limits.batch }) }, strict),
    output: Type.Object({ imported: Type.Integer(), already_present: Type.Integer() }, strict),
  },
  claimMessages: {
    summary: "Lease the next messages of an inbox, waiting for one if asked; unacknowledged ones come back.",
    scopes: ["agent", "operate"],
    touches: "agent",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object(
      {
        agent_id: AgentId,
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: limits.claim, default: 1 })),
        lease_ms: Type.Optional(LeaseMs),
        wait_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: limits.wait_ms, default: 0 })),
        min_priority: Type.Optional(Priority),
        when: Type.Optional(Moment),
      },
      strict,
    ),
    output: Type.Object({ deliveries: Type.Array(Delivery) }, strict),
  },
  acknowledgeMessages: {
    summary: "Acknowledge many leased messages; each succeeds or fails by itself.",
    scopes: ["agent", "operate"],
    touches: "lease",
    rate_class: "finish",
    audited: "refusals",
    input: Acknowledgements,
    output: AcknowledgedEach,
  },
  acknowledgeMessage: {
    summary: "Say that a leased message was handled, so that it is not delivered again.",
    scopes: ["agent", "operate"],
    touches: "lease",
    rate_class: "finish",
    audited: "refusals",
    input: Type.Object({ message_id: MessageId, lease_id: LeaseId }, strict),
    output: Acknowledged,
  },
  rejectMessage: {
    summary: "Give a leased message back: it is tried again later, or becomes a dead letter after the last attempt.",
    scopes: ["agent", "operate"],
    touches: "lease",
    rate_class: "finish",
    audited: "refusals",
    input: Type.Object(
      {
        message_id: MessageId,
        lease_id: LeaseId,
        reason: Type.Optional(Reason),
        delay_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: 30 * 86_400_000 })),
      },
      strict,
    ),
    output: DeliveryStatus,
  },
  extendLease: {
    summary: "Keep a leased message for `lease_ms` more, from now.",
    scopes: ["agent", "operate"],
    touches: "lease",
    rate_class: "finish",
    audited: "refusals",
    input: Type.Object({ message_id: MessageId, lease_id: LeaseId, lease_ms: LeaseMs }, strict),
    output: DeliveryStatus,
  },
  recordEvidence: {
    summary: "Note in the ledger that a leased message was put before the agent (injected) or taken up by it (seen).",
    scopes: ["agent", "operate"],
    touches: "lease",
    rate_class: "finish",
    audited: "refusals",
    input: Type.Object(
      {
        message_id: MessageId,
        lease_id: LeaseId,
        event: Type.Unsafe<"injected" | "seen">(Type.Enum(["injected", "seen"])),
        reason: Type.Optional(Reason),
      },
      strict,
    ),
    output: DeliveryStatus,
  },
  getMessage: {
    summary: "Show a message, how each delivery of it stands, and everything that happened to it.",
    scopes: ["agent", "observe", "operate"],
    touches: "message",
    rate_class: "read",
    audited: { entries: "reads", event: "messages_read" },
    input: Type.Object({ message_id: MessageId }, strict),
    output: TracedMessage,
  },
  searchMessages: {
    summary: "Search the history by participants, conversation, type, priority, state, time, metadata and words.",
    scopes: ["agent", "observe", "operate"],
    touches: "messages",
    rate_class: "read",
    audited: { entries: "reads", event: "messages_read", fields: ["messages"] },
    input: SearchQuery,
    output: Type.Object({ messages: Type.Array(Message), next_cursor: Type.Optional(Cursor) }, strict),
  },
  createConversation: {
    summary: "Open a conversation between participants.",
    scopes: ["agent", "operate"],
    touches: "conversation",
    rate_class: "manage",
    audited: "refusals",
    input: NewConversation,
    output: Conversation,
    status: 201,
  },
  listConversations: {
    summary: "List conversations, the latest activity first.",
    scopes: ["agent", "observe", "operate"],
    touches: "conversations",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object(
      {
        participant: Type.Optional(AgentId),
        status: Type.Optional(ConversationStatus),
        limit: PageLimit,
        cursor: Type.Optional(Cursor),
      },
      strict,
    ),
    output: Type.Object({ conversations: Type.Array(Conversation), next_cursor: Type.Optional(Cursor) }, strict),
  },
  getConversation: {
    summary: "Show a conversation.",
    scopes: ["agent", "observe", "operate"],
    touches: "conversation",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object({ conversation_id: ConversationId }, strict),
    output: Conversation,
  },
  updateConversation: {
    summary: "Archive, close or reopen a conversation.",
    scopes: ["agent", "operate"],
    touches: "conversation",
    rate_class: "manage",
    audited: "refusals",
    input: Type.Object({ conversation_id: ConversationId, status: ConversationStatus }, strict),
    output: Conversation,
  },
  getInbox: {
    summary: "Show how many messages wait for an agent, in which state, and why they are not delivered.",
    scopes: ["agent", "observe", "operate"],
    touches: "agent",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object({ agent_id: AgentId }, strict),
    output: Inbox,
  },
  listDeadLetters: {
    summary: "List the messages that were given up, the latest first, with the reason.",
    scopes: ["agent", "observe", "operate"],
    touches: "messages",
    rate_class: "read",
    audited: { entries: "reads", event: "messages_read", fields: ["dead_letters"] },
    input: Type.Object({ agent_id: Type.Optional(AgentId), limit: PageLimit, cursor: Type.Optional(Cursor) }, strict),
    output: Type.Object({ dead_letters: Type.Array(DeadLetter), next_cursor: Type.Optional(Cursor) }, strict),
  },
  redriveDeadLetters: {
    summary: "Put dead or held messages back into their inboxes: those named, those of an agent, or all.",
    scopes: ["operate"],
    touches: "hive",
    rate_class: "manage",
    audited: { entries: "each", event: "dead_letters_redriven", fields: ["agent_id", "redriven"] },
    input: Type.Object(
      {
        agent_id: Type.Optional(AgentId),
        message_ids: Type.Optional(Type.Array(MessageId, { minItems: 1, maxItems: limits.batch })),
      },
      strict,
    ),
    output: Type.Object({ redriven: Type.Integer(), message_ids: Type.Array(MessageId) }, strict),
  },
  registerAgent: {
    summary: "Register an agent, or replace what is known of it; its inbox is kept.",
    scopes: ["agent", "operate"],
    touches: "agent",
    rate_class: "manage",
    audited: "refusals",
    input: AgentRegistration,
    output: Agent,
  },
  listAgents: {
    summary: "List agents, optionally those with a capability, of a group, or in some health.",
    scopes: ["agent", "observe", "operate"],
    touches: "nothing",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object(
      { capability: Type.Optional(Name), group: Type.Optional(Name), health: Type.Optional(Health) },
      strict,
    ),
    output: Type.Object({ agents: Type.Array(Agent) }, strict),
  },
  getAgent: {
    summary: "Show an agent.",
    scopes: ["agent", "observe", "operate"],
    touches: "nothing",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object({ agent_id: AgentId }, strict),
    output: Agent,
  },
  getAgentKeys: {
    summary: "Show the keys that an agent has published for sealed messages, with their fingerprint.",
    scopes: ["agent", "observe", "operate"],
    touches: "nothing",
    rate_class: "read",
    audited: "refusals",
    input: Type.Object({ agent_id: AgentId }, strict),
    output: KeysOfAgent,
  },
  removeAgent: {
    summary: "Remove an agent; what still waits for it becomes dead letters, and the senders are told.",
    scopes: ["operate"],
    touches: "hive",
    rate_class: "manage",
    audited: { entries: "each", event: "agent_removed", fields: ["agent_id", "dead"] },
    input: Type.Object({ agent_id: AgentId }, strict),
    output: Type.Object({ removed: Type.Literal(true), dead: Type.Integer() }, strict),
  },
  heartbeat: {
    summary: "Say that an agent is alive, and how it is doing.",
    scopes: ["agent", "operate"],
    touches: "agent",
    rate_class: "manage",
    audited: "refusals",
    input: Heartbeat,
    output: Agent,
  },
  ...managing,
} as const satisfies Record<OperationName, Operation>;

export type Input<Name extends OperationName> = Static<(typeof operations)[Name]["input"]>;
export type Output<Name extends OperationName> = Static<(typeof operations)[Name]["output"]>;

/** The bus, in this process or across the network: one method per operation. */
export type Bus<Context extends unknown[] = []> = {
  readonly [Name in OperationName]: (input: Input<Name>, ...context: Context) => Promise<Output<Name>>;
};
