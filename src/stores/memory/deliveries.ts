import type {
  AcknowledgeOutcome,
  Claim,
  ClaimOutcome,
  Death,
  DeliveryStore,
  LeaseOutcome,
  LeaseRef,
  Redrive,
} from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import type { AgentId, Delivery, LeaseId } from "../../contract/messages.ts";
import { mayReach, rankOf } from "../../core/messaging/order.ts";
import { publishOne } from "./publish.ts";
import {
  allDeliveries,
  inState,
  isExpired,
  type MemoryState,
  noteStep,
  rankNow,
  type Standing,
  type StoredDelivery,
  toMessage,
  toStatus,
} from "./state.ts";
import { sweep } from "./sweep.ts";
import { endAttempt, itself, makeDead } from "./transitions.ts";

export function deliveryStore(state: MemoryState): DeliveryStore {
  return {
    publish: async (publications) => publications.map((it) => publishOne(state, it)),
    claim: async (claim) => claimMessages(state, claim),
    acknowledge: async (leases, actor) => leases.map((it) => acknowledgeOne(state, it, actor)),

    async reject(lease, reason, options) {
      return withLease(state, lease, (delivery) => {
        noteStep(state, delivery, { event: "rejected", actor: options.actor, reason });
        state.counts.rejected += 1;
        return endAttempt(state, delivery, { reason, ...options });
      });
    },

    async extend(lease, lease_ms, actor) {
      return withLease(state, lease, (delivery) => {
        delivery.standing = leased(state, lease.lease_id, lease_ms);
        noteStep(state, delivery, { event: "lease_extended", actor, reason: `lease ${lease_ms} ms` });
        return undefined;
      });
    },

    async record(lease, evidence) {
      return withLease(state, lease, (delivery) => {
        noteStep(state, delivery, evidence);
        return undefined;
      });
    },

    release: async (leases, reason) => release(state, leases, reason),
    sweep: async (limit) => sweep(state, limit),
    redrive: async (order) => redrive(state, order),

    async retire(agent_id, reason, actor) {
      const open = inState(allDeliveries(state), "ready", "scheduled", "leased", "held");
      return open.filter((it) => it.agent_id === agent_id).map((it) => makeDead(state, it, actor, reason));
    },
  };
}

function claimMessages(state: MemoryState, claim: Claim): ClaimOutcome {
  const own = allDeliveries(state).filter((it) => it.agent_id === claim.agent_id);
  const open_leases = inState(own, "leased").length;
  const left = state.policy.open_leases_per_agent - open_leases;
  if (left <= 0) return { outcome: "lease_limit", open_leases };
  const deliveries = inState(own, "ready")
    .filter((it) => !isExpired(it, state.clock.now()))
    .filter((it) => claim.when === undefined || mayReach(it.message.said.when, claim.when))
    .filter((it) => claim.min_priority === undefined || rankNow(state, it) <= rankOf(claim.min_priority))
    .sort((a, b) => rankNow(state, a) - rankNow(state, b) || a.message.position - b.message.position)
    .slice(0, Math.min(claim.limit, left))
    .map((it) => lease(state, it, claim));
  return { outcome: "claimed", deliveries };
}

function lease(state: MemoryState, delivery: StoredDelivery, { lease_ms, actor }: Claim): Delivery {
  const lease_id = `lease-${++state.last_lease}` as LeaseId;
  const standing = leased(state, lease_id, lease_ms);
  delivery.standing = standing;
  delivery.lease_ids.push(lease_id);
  delivery.attempt += 1;
  const { agent_id, attempt } = delivery;
  noteStep(state, delivery, { event: "leased", actor, reason: `attempt ${attempt}, lease ${lease_ms} ms` });
  state.counts.delivered += 1;
  if (attempt > 1) state.counts.redelivered += 1;
  const lease_expires_at = toTimestamp(standing.expires_at_wall_ms);
  return { message: toMessage(delivery.message), agent_id, lease_id, lease_expires_at, attempt };
}

function leased(state: MemoryState, lease_id: LeaseId, lease_ms: number): Extract<Standing, { state: "leased" }> {
  return {
    state: "leased",
    lease_id,
    ends_elapsed_ms: state.clock.elapsed() + lease_ms,
    expires_at_wall_ms: state.clock.now() + lease_ms,
  };
}

function acknowledgeOne(state: MemoryState, ref: LeaseRef, actor: string): AcknowledgeOutcome {
  const message = state.messages.get(ref.message_id);
  if (!message) return "message_not_found";
  const own = message.deliveries.filter((it) => isOwn(it, ref));
  if (own.length === 0) return "message_not_found";
  const delivery = own.find((it) => it.lease_ids.includes(ref.lease_id));
  if (!delivery) return "lease_lost";
  const { standing } = delivery;
  if (standing.state === "acknowledged" && standing.lease_id === ref.lease_id) return "acknowledged";
  if (!isCurrent(state, delivery, ref.lease_id)) return "lease_lost";
  delivery.standing = { state: "acknowledged", lease_id: ref.lease_id };
  noteStep(state, delivery, { event: "acknowledged", actor });
  state.counts.acknowledged += 1;
  return "acknowledged";
}

/** Whether this lease holds: it is the delivery's latest, and its time is not over, even if the sweep is yet to come. */
function isCurrent(state: MemoryState, { standing }: StoredDelivery, lease_id: LeaseId): boolean {
  return (
    standing.state === "leased" && standing.lease_id === lease_id && standing.ends_elapsed_ms > state.clock.elapsed()
  );
}

function isOwn(delivery: StoredDelivery, { agent_id }: LeaseRef): boolean {
  return agent_id === undefined || delivery.agent_id === agent_id;
}

function withLease(
  state: MemoryState,
  ref: LeaseRef,
  change: (delivery: StoredDelivery) => Death | undefined,
): LeaseOutcome {
  const { message_id, lease_id } = ref;
  const deliveries = (state.messages.get(message_id)?.deliveries ?? []).filter((it) => isOwn(it, ref));
  const delivery = deliveries.find((it) => it.lease_ids.includes(lease_id)) ?? deliveries[0];
  if (!delivery) return { outcome: "message_not_found" };
  if (!isCurrent(state, delivery, lease_id)) return { outcome: "lease_lost", status: toStatus(delivery) };
  const dead = change(delivery);
  return defined({ outcome: "done" as const, status: toStatus(delivery), dead });
}

function release(
  state: MemoryState,
  leases: readonly LeaseId[],
  reason: string,
): { woken: readonly AgentId[]; deaths: readonly Death[] } {
  const woken = new Set<AgentId>();
  const deaths: Death[] = [];
  for (const lease_id of leases) {
    const delivery = inState(allDeliveries(state), "leased").find((it) => it.standing.lease_id === lease_id);
    if (!delivery) continue;
    const death = endAttempt(state, delivery, { reason, actor: itself, delay_ms: 0 });
    if (death) deaths.push(death);
    else woken.add(delivery.agent_id);
  }
  return { woken: [...woken], deaths };
}

function redrive(state: MemoryState, { agent_id, message_ids, limit, actor }: Redrive) {
  const chosen = inState(allDeliveries(state), "dead", "held")
    .filter((it) => agent_id === undefined || it.agent_id === agent_id)
    .filter((it) => message_ids === undefined || message_ids.includes(it.message.said.id))
    .slice(0, limit);
  for (const delivery of chosen) {
    if (isExpired(delivery, state.clock.now())) delivery.expires_at_ms = undefined;
    delivery.attempt = 0;
    (delivery as StoredDelivery).standing = { state: "ready" };
    noteStep(state, delivery, { event: "redriven", actor });
  }
  return {
    message_ids: chosen.map((it) => it.message.said.id),
    woken: [...new Set(chosen.map((it) => it.agent_id))],
  };
}
