import type { KnownAgent, StoredEvent, StoreStatus } from "../../app/ports.ts";
import type { Clock } from "../../base/clock.ts";
import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import type { Conversation } from "../../contract/conversations.ts";
import type {
  AgentId,
  ConversationId,
  DeliveryStatus,
  LeaseId,
  Message,
  MessageId,
  Priority,
} from "../../contract/messages.ts";
import { priorities } from "../../contract/messages.ts";
import { effectiveRank, rankOf } from "../../core/messaging/order.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";

/** How a delivery stands now, with what only matters in that state. Times end in what measures them. */
export type Standing =
  | {
      readonly state: "scheduled";
      readonly reason: string;
      /** As shown; what decides are the next two. */
      readonly available_at_wall_ms: number;
      readonly not_before_wall_ms: number;
      readonly not_before_elapsed_ms: number;
    }
  | { readonly state: "ready" }
  | {
      readonly state: "leased";
      readonly lease_id: LeaseId;
      readonly ends_elapsed_ms: number;
      /** As shown. */
      readonly expires_at_wall_ms: number;
    }
  | { readonly state: "held"; readonly reason: string }
  /** No lease for what was imported. */
  | { readonly state: "acknowledged"; readonly lease_id?: LeaseId }
  | { readonly state: "dead"; readonly reason: string; readonly died_at: string; readonly position: number };

export type StoredDelivery = {
  readonly message: StoredMessage;
  readonly agent_id: AgentId;
  /** Every lease ever given for it. */
  readonly lease_ids: LeaseId[];
  standing: Standing;
  attempt: number;
  /** Wall time; undefined once redriven after it had expired. */
  expires_at_ms: number | undefined;
  /** Whether the ledger says that it ranks higher for having waited. */
  aged: boolean;
};

export type StoredMessage = {
  readonly said: Omit<Message, "acknowledged">;
  readonly position: number;
  readonly accepted_ms: number;
  /** When its reader could first have had it: where waiting, and the quickness of an answer, are measured from. */
  readonly readable_ms: number;
  readonly reply_depth: number;
  readonly idempotency_key: string | undefined;
  /** In the order of the recipients. */
  readonly deliveries: StoredDelivery[];
};

export type StoredConversation = Conversation & {
  /** Opened by a message that named none, and therefore found again by the next such message. */
  readonly implicit: boolean;
};

export type MemoryState = {
  readonly clock: Clock;
  readonly policy: DeliveryPolicy;
  readonly messages: Map<MessageId, StoredMessage>;
  /** Those of the messages: no two share one. */
  readonly positions: Set<number>;
  /** In the order of their opening. */
  readonly conversations: Map<ConversationId, StoredConversation>;
  readonly agents: Map<AgentId, KnownAgent>;
  /** `keyOf()` → the latest message accepted with that key. */
  readonly keys: Map<string, StoredMessage>;
  readonly listeners: Set<() => void>;
  readonly counts: Record<keyof StoreStatus["counts"], number>;
  events: StoredEvent[];
  last_event_position: number;
  forgotten_event_position: number;
  last_message_position: number;
  last_lease: number;
  kept_since_ms: number | undefined;
};

export function emptyState(clock: Clock, policy: DeliveryPolicy): MemoryState {
  return {
    clock,
    policy,
    messages: new Map(),
    positions: new Set(),
    conversations: new Map(),
    agents: new Map(),
    keys: new Map(),
    listeners: new Set(),
    counts: { accepted: 0, delivered: 0, acknowledged: 0, redelivered: 0, rejected: 0, dead: 0 },
    events: [],
    last_event_position: 0,
    forgotten_event_position: 0,
    last_message_position: 0,
    last_lease: 0,
    kept_since_ms: undefined,
  };
}

/** Adds to the log, and calls the listeners when the operation under way is over. @returns Its position. */
export function note(state: MemoryState, event: Omit<StoredEvent, "position" | "at">): number {
  if (state.listeners.size > 0) queueMicrotask(() => callListeners(state));
  const position = ++state.last_event_position;
  state.events.push({ position, at: toTimestamp(state.clock.now()), ...event });
  return position;
}

function callListeners({ listeners }: MemoryState): void {
  for (const callback of listeners) callback();
}

/** Adds a step of a delivery to its ledger. */
export function noteStep(
  state: MemoryState,
  { message, agent_id }: StoredDelivery,
  step: Pick<StoredEvent, "event" | "actor"> & { readonly reason?: string | undefined },
): number {
  const { id: message_id, conversation_id, from_agent } = message.said;
  return note(state, defined({ ...step, message_id, agent_id, conversation_id, from_agent }));
}

/** All deliveries, in order of acceptance and then of the recipients. */
export function allDeliveries(state: MemoryState): StoredDelivery[] {
  return inOrderOfPosition(state).flatMap((message) => message.deliveries);
}

export function inOrderOfPosition(state: MemoryState): StoredMessage[] {
  return [...state.messages.values()].sort((a, b) => a.position - b.position);
}

export function inState<State extends Standing["state"]>(
  deliveries: readonly StoredDelivery[],
  ...states: readonly State[]
): (StoredDelivery & { standing: Extract<Standing, { state: State }> })[] {
  const isOne = (it: StoredDelivery): it is StoredDelivery & { standing: Extract<Standing, { state: State }> } =>
    (states as readonly string[]).includes(it.standing.state);
  return deliveries.filter(isOne);
}

export function isExpired({ expires_at_ms }: StoredDelivery, now: number): boolean {
  return expires_at_ms !== undefined && expires_at_ms <= now;
}

/** Rank now, from 0 for urgent, with what waiting has earned it. */
export function rankNow(state: MemoryState, { message }: StoredDelivery): number {
  const waited_ms = Math.max(0, state.clock.now() - message.readable_ms);
  return effectiveRank(rankOf(message.said.priority), waited_ms, state.policy.aging_ms);
}

export function priorityOf(rank: number): Priority {
  return priorities[rank] ?? "low";
}

export function toMessage({ said, deliveries }: StoredMessage): Message {
  return { ...said, acknowledged: deliveries.every((it) => it.standing.state === "acknowledged") };
}

export function toStatus({ message, agent_id, attempt, standing }: StoredDelivery): DeliveryStatus {
  const common = { message_id: message.said.id, agent_id, state: standing.state, attempt };
  switch (standing.state) {
    case "scheduled":
      return { ...common, available_at: toTimestamp(standing.available_at_wall_ms), reason: standing.reason };
    case "leased":
      return {
        ...common,
        lease_id: standing.lease_id,
        lease_expires_at: toTimestamp(standing.expires_at_wall_ms),
      };
    case "held":
    case "dead":
      return { ...common, reason: standing.reason };
    case "ready":
    case "acknowledged":
      return common;
  }
}
