import type { Death } from "../../app/ports.ts";
import { describeDuration, toTimestamp } from "../../base/time.ts";
import { afterFailure } from "../../core/messaging/policy.ts";
import { isExpired, type MemoryState, noteStep, type StoredDelivery, toMessage } from "./state.ts";

/*
 * publish ─▶ scheduled ─▶ ready ─▶ leased ─▶ acknowledged
 *       └──▶ held          ▲         │
 *              │           └─────────┤ rejected, lease expired, released   (or scheduled again, to wait)
 *              ▼ redrive             ▼
 *            ready ◀── redrive ──── dead                                   (from every open state: expired, retired)
 */

/** The ledger's name for what nobody asked for. */
export const itself = "hivepost";

export function makeReady(state: MemoryState, delivery: StoredDelivery, actor: string, reason?: string): void {
  delivery.standing = { state: "ready" };
  noteStep(state, delivery, { event: "ready", actor, reason });
}

export function makeDead(state: MemoryState, delivery: StoredDelivery, actor: string, reason: string): Death {
  const died_at = toTimestamp(state.clock.now());
  const position = noteStep(state, delivery, { event: "dead", actor, reason });
  delivery.standing = { state: "dead", reason, died_at, position };
  state.counts.dead += 1;
  return { message: toMessage(delivery.message), agent_id: delivery.agent_id, reason, died_at };
}

/** What follows a lease that ended without an acknowledgement; a death if that was the end. */
export function endAttempt(
  state: MemoryState,
  delivery: StoredDelivery,
  failure: { readonly reason: string; readonly actor: string; readonly delay_ms?: number },
): Death | undefined {
  const { message, attempt } = delivery;
  const { reason, actor } = failure;
  const after = afterFailure(state.policy.retry[message.said.message_type], attempt, message.said.id);
  if (after.state === "dead") return makeDead(state, delivery, actor, `attempts used up (${attempt}): ${reason}`);
  if (isExpired(delivery, state.clock.now())) return makeDead(state, delivery, actor, "expired");
  const delay_ms = failure.delay_ms ?? after.delay_ms;
  if (delay_ms === 0) makeReady(state, delivery, actor, reason);
  else delay(state, delivery, { reason, actor, delay_ms });
  return undefined;
}

function delay(
  state: MemoryState,
  delivery: StoredDelivery,
  { reason, actor, delay_ms }: { reason: string; actor: string; delay_ms: number },
): void {
  delivery.standing = {
    state: "scheduled",
    reason,
    available_at_wall_ms: state.clock.now() + delay_ms,
    not_before_wall_ms: Number.NEGATIVE_INFINITY,
    not_before_elapsed_ms: state.clock.elapsed() + delay_ms,
  };
  noteStep(state, delivery, { event: "scheduled", actor, reason: `${reason}; again in ${describeDuration(delay_ms)}` });
}
