import type { AuditHead, EventLog, Store, StoreStatus } from "../../app/ports.ts";
import type { Clock } from "../../base/clock.ts";
import { type Priority, priorities } from "../../contract/messages.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";
import { conversationStore } from "./conversations.ts";
import { deliveryStore } from "./deliveries.ts";
import { fleetStore } from "./fleet.ts";
import { historyStore } from "./history.ts";
import { storeKeys } from "./keys.ts";
import { allDeliveries, emptyState, inState, type MemoryState } from "./state.ts";
import { tokenStore } from "./tokens.ts";

/**
 * The reference store: every rule of the ports in its plainest form, arrays gone through from end to end, nothing on disk.
 * What another store answers to a history of calls is right if this one answers the same.
 */
export function openMemoryStore({ clock, policy }: { clock: Clock; policy: DeliveryPolicy }): Store {
  const state = emptyState(clock, policy);
  return {
    deliveries: deliveryStore(state),
    history: historyStore(state),
    conversations: conversationStore(state),
    events: eventLog(state),
    fleet: fleetStore(state),
    tokens: tokenStore(clock),
    keys: storeKeys(),
    auditHead: auditHead(),
    status: async () => statusOf(state),
    async [Symbol.asyncDispose]() {
      state.listeners.clear();
    },
  };
}

function auditHead(): AuditHead {
  let kept: string | undefined;
  return {
    read: async () => kept,
    async write(head) {
      kept = head;
    },
  };
}

function eventLog(state: MemoryState): EventLog {
  return {
    async events(after, limit) {
      const events = state.events.filter((it) => it.position > after).slice(0, limit);
      return { events, gap: after < state.forgotten_event_position };
    },

    head: async () => state.last_event_position,

    onEvents(callback) {
      // A listener of its own, so that the same callback may listen twice and stop once.
      const listener = () => callback();
      state.listeners.add(listener);
      return () => state.listeners.delete(listener);
    },
  };
}

function statusOf(state: MemoryState): StoreStatus {
  const all = allDeliveries(state);
  const undelivered = inState(all, "ready", "scheduled", "leased", "held");
  const now = state.clock.now();
  const depthOf = (priority: Priority) => undelivered.filter((it) => it.message.said.priority === priority).length;
  return {
    kind: "memory",
    depth: Object.fromEntries(priorities.map((it) => [it, depthOf(it)])) as StoreStatus["depth"], // Every priority is there.
    oldest_age_ms: Math.max(0, ...undelivered.map((it) => now - it.message.accepted_ms)),
    leased: inState(all, "leased").length,
    dead: inState(all, "dead").length,
    counts: { ...state.counts },
    gauges: {},
    observations: {},
  };
}
