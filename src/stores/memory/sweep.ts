import type { Death, Sweep } from "../../app/ports.ts";
import type { AgentId, LeaseId } from "../../contract/messages.ts";
import { rankOf } from "../../core/messaging/order.ts";
import { allDeliveries, inState, isExpired, type MemoryState, noteStep, priorityOf, rankNow } from "./state.ts";
import { endAttempt, itself, makeDead, makeReady } from "./transitions.ts";

type Swept = { readonly woken: Set<AgentId>; readonly deaths: Death[]; readonly expired: LeaseId[] };

/** Does what has fallen due, in four steps, each in the order in which it fell due and at most `limit` of it. */
export function sweep(state: MemoryState, limit: number): Sweep {
  const swept: Swept = { woken: new Set(), deaths: [], expired: [] };
  endLeases(state, limit, swept);
  expireMessages(state, limit, swept);
  makeScheduledReady(state, limit, swept);
  noteAging(state, limit, swept);
  return { ...swept, woken: [...swept.woken], next_due_ms: nextDue(state) };
}

function endLeases(state: MemoryState, limit: number, { woken, deaths, expired }: Swept): void {
  const due = inState(allDeliveries(state), "leased")
    .filter((it) => it.standing.ends_elapsed_ms <= state.clock.elapsed())
    .sort((a, b) => a.standing.ends_elapsed_ms - b.standing.ends_elapsed_ms)
    .slice(0, limit);
  for (const delivery of due) {
    expired.push(delivery.standing.lease_id);
    noteStep(state, delivery, { event: "lease_expired", actor: itself });
    const death = endAttempt(state, delivery, { reason: "lease expired", actor: itself });
    if (death) deaths.push(death);
    if (inState([delivery], "ready").length > 0) woken.add(delivery.agent_id);
  }
}

function expireMessages(state: MemoryState, limit: number, { deaths }: Swept): void {
  const due = inState(allDeliveries(state), "ready", "scheduled", "held")
    .filter((it) => isExpired(it, state.clock.now()))
    .sort((a, b) => (a.expires_at_ms ?? 0) - (b.expires_at_ms ?? 0))
    .slice(0, limit);
  for (const delivery of due) deaths.push(makeDead(state, delivery, itself, "expired"));
}

function makeScheduledReady(state: MemoryState, limit: number, { woken }: Swept): void {
  const due = inState(allDeliveries(state), "scheduled")
    .filter((it) => it.standing.not_before_wall_ms <= state.clock.now())
    .filter((it) => it.standing.not_before_elapsed_ms <= state.clock.elapsed())
    .sort((a, b) => a.standing.available_at_wall_ms - b.standing.available_at_wall_ms)
    .slice(0, limit);
  for (const delivery of due) {
    makeReady(state, delivery, itself);
    woken.add(delivery.agent_id);
  }
}

function noteAging(state: MemoryState, limit: number, { woken }: Swept): void {
  const due = inState(allDeliveries(state), "ready")
    .filter((it) => !it.aged && rankNow(state, it) < rankOf(it.message.said.priority))
    .sort((a, b) => a.message.readable_ms - b.message.readable_ms)
    .slice(0, limit);
  for (const delivery of due) {
    const priority = priorityOf(rankNow(state, delivery));
    const reason = `waited longer than ${state.policy.aging_ms} ms: ranks as ${priority}`;
    noteStep(state, delivery, { event: "ready", actor: itself, reason });
    delivery.aged = true;
    woken.add(delivery.agent_id);
  }
}

function nextDue(state: MemoryState): number | undefined {
  const all = allDeliveries(state);
  const now = state.clock.now();
  const elapsed = state.clock.elapsed();
  const { aging_ms } = state.policy;
  const dues = [
    ...inState(all, "leased").map((it) => it.standing.ends_elapsed_ms - elapsed),
    ...inState(all, "scheduled").map(({ standing }) =>
      Math.max(standing.not_before_wall_ms - now, standing.not_before_elapsed_ms - elapsed),
    ),
    ...inState(all, "ready", "scheduled", "held").flatMap((it) =>
      it.expires_at_ms === undefined ? [] : [it.expires_at_ms - now],
    ),
    ...inState(all, "ready").flatMap((it) =>
      aging_ms === undefined || it.aged || it.message.said.priority === "urgent"
        ? []
        : [it.message.readable_ms + aging_ms + 1 - now],
    ),
  ];
  return dues.length === 0 ? undefined : Math.max(0, Math.min(...dues));
}
