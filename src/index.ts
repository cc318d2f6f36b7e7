/** The package's face: a client of the bus for programs on Node. `hivepost/server` and `hivepost/outbox` stand apart. */

export { openAgentKeys } from "./client/agent-keys-node.ts";
export {
  type CallOptions,
  type Client,
  type ConnectOptions,
  connect,
  type Follower,
  type HandlerContext,
  type MessageHandler,
  type Subscription,
  type Worker,
  type WorkerOptions,
} from "./client/client.ts";
export { LeaseLost } from "./client/lease.ts";
export { AgentMessageQueue, type AgentMessageQueueOptions } from "./client/queue.ts";
export type { KeyStore } from "./client/sealed/key-store.ts";
export type { Reading, Verified } from "./client/sealed/opening.ts";
export {
  type RefusedDelivery,
  type SealedClient,
  type SealedClientOptions,
  sealedClient,
} from "./client/sealed/sealed-client.ts";
export type { SealedNewMessage } from "./client/sealed/sealing.ts";
export { Reject } from "./client/worker.ts";
export type { Agent, AgentRegistration, AgentStatus, Health } from "./contract/agents.ts";
export type { Conversation, ConversationStatus } from "./contract/conversations.ts";
export { BusError, type ErrorCode } from "./contract/errors.ts";
export type { BusEvent, EventName } from "./contract/events.ts";
export type {
  AgentId,
  ConversationId,
  Cursor,
  DeadLetter,
  Delivery,
  DeliveryState,
  DeliveryStatus,
  Inbox,
  LeaseId,
  Message,
  MessageId,
  MessageType,
  NewMessage,
  Priority,
  TracedMessage,
} from "./contract/messages.ts";
export type { Bus, Input, Output } from "./contract/operations.ts";
export type { Provenance, TokenKind, Trust } from "./contract/provenance.ts";
export type { PublicKeys } from "./contract/public-keys.ts";
export type { Sealed } from "./contract/sealed.ts";
