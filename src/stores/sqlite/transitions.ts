import type { Death } from "../../app/ports.ts";
import { describeDuration, toTimestamp } from "../../base/time.ts";
import type { EventName } from "../../contract/events.ts";
import type { AgentId, Message } from "../../contract/messages.ts";
import { afterFailure } from "../../core/messaging/policy.ts";
import type { StoreContext } from "./context.ts";
import { type OpenDelivery, toWrite } from "./open-delivery.ts";
import type { LedgerStep, Step } from "./protocol.ts";

/*
 * publish ─▶ scheduled ─▶ ready ─▶ leased ─▶ acknowledged
 *       └──▶ held          ▲         │
 *              │           └─────────┤ rejected, lease expired, released   (or scheduled again, to wait)
 *              ▼ redrive             ▼
 *            ready ◀── redrive ──── dead                                   (from every open state: expired, retired)
 *
 * A transition is worked out first, as what is to be written and what is to be done in memory. Where somebody waits for
 * the disk, memory follows once it is written; where nobody does, at once, and the writing follows.
 */
export type Transition = {
  readonly step: Step;
  /** Does it in memory. @returns The death, where it was one. */
  readonly apply: () => Death | undefined;
};

/** The ledger's name for what nobody asked for. */
export const itself = "hivepost";

export function ledgerStep(
  { position, inbox }: OpenDelivery,
  at_ms: number,
  step: { readonly event: EventName; readonly actor: string; readonly reason?: string | undefined },
): LedgerStep {
  const { event, actor, reason } = step;
  return { event, at_ms, position, agent_id: inbox.agent_id, actor, ...(reason !== undefined && { reason }) };
}

type Failure = {
  readonly reason: string;
  readonly actor: string;
  readonly delay_ms?: number;
  /** What the ledger says before what follows from it. */
  readonly first?: { readonly event: EventName; readonly reason?: string };
};

/** What follows when a lease ends without an acknowledgement: another attempt, now or later, or none. */
export function endAttempt(context: StoreContext, delivery: OpenDelivery, failure: Failure): Transition {
  const { policy, clock } = context;
  const { attempt, message_id, message_type } = delivery;
  const { reason, actor, first } = failure;
  const now = clock.now();
  const before = first ? [ledgerStep(delivery, now, { ...first, actor })] : [];
  const after = afterFailure(policy.retry[message_type], attempt, message_id);
  if (after.state === "dead")
    return die(context, delivery, { reason: `attempts used up (${attempt}): ${reason}`, actor, before });
  if (delivery.expires_ms <= now) return die(context, delivery, { reason: "expired", actor, before });
  const delay_ms = failure.delay_ms ?? after.delay_ms;
  if (delay_ms === 0) return becomeReady(context, delivery, { reason, actor, before });
  return wait(context, delivery, { reason, actor, before, delay_ms });
}

type Cause = { readonly reason: string; readonly actor: string; readonly before?: readonly LedgerStep[] };

export function die(context: StoreContext, delivery: OpenDelivery, { reason, actor, before = [] }: Cause): Transition {
  const { engine, clock, counts } = context;
  const at_ms = clock.now();
  const ledger = [...before, ledgerStep(delivery, at_ms, { event: "dead", actor, reason })];
  const message = bodyOf(context, delivery);
  return {
    step: { ledger, delivery: toWrite(delivery, { state: "dead", depth_change: -1, reason }) },
    apply() {
      delivery.reason = reason;
      engine.end(delivery, "dead");
      delivery.inbox.dead += 1;
      counts.dead += 1;
      return { message, agent_id: delivery.inbox.agent_id, reason, died_at: toTimestamp(at_ms) };
    },
  };
}

export function becomeReady(
  { engine, clock }: StoreContext,
  delivery: OpenDelivery,
  { reason, actor, before = [] }: Omit<Cause, "reason"> & { readonly reason?: string },
): Transition {
  const ledger = [...before, ledgerStep(delivery, clock.now(), { event: "ready", actor, reason })];
  return {
    step: { ledger, delivery: toWrite(delivery, { state: "ready", depth_change: 0 }) },
    apply() {
      delivery.reason = undefined;
      engine.move(delivery, "ready");
      return undefined;
    },
  };
}

function wait(
  { engine, clock }: StoreContext,
  delivery: OpenDelivery,
  { reason, actor, before = [], delay_ms }: Cause & { readonly delay_ms: number },
): Transition {
  const now = clock.now();
  const available_ms = now + delay_ms;
  const told = `${reason}; again in ${describeDuration(delay_ms)}`;
  const ledger = [...before, ledgerStep(delivery, now, { event: "scheduled", actor, reason: told })];
  const delay_until_ms = clock.steady() + delay_ms;
  const delay_ends_ms = clock.elapsed() + delay_ms;
  const written = toWrite(delivery, { state: "scheduled", depth_change: 0, available_ms, delay_until_ms, reason });
  return {
    step: { ledger, delivery: written },
    apply() {
      Object.assign(delivery, { reason, available_ms, not_before_ms: Number.NEGATIVE_INFINITY, delay_ends_ms });
      engine.move(delivery, "scheduled");
      return undefined;
    },
  };
}

/** What was said; from the disk where memory had no room for it. */
export function bodyOf({ lookups }: StoreContext, { message, position }: OpenDelivery): Message {
  return message ?? lookups.message(position);
}

/** Does transitions that nobody waits for: in memory now, on disk with the next batch. */
export function doNow(
  context: StoreContext,
  done: readonly [delivery: OpenDelivery, transition: Transition][],
): Death[] {
  if (done.length === 0) return [];
  const deaths: Death[] = [];
  for (const [, { apply }] of done) {
    const death = apply();
    if (death) deaths.push(death);
  }
  // Of what dies only later, the disk knows only later.
  const dead = done.map(([delivery]) => delivery).filter((it) => it.state === "dead");
  const steps = done.map(([, { step }]) => step);
  context.queue.append(
    { operation: "steps", steps },
    {
      size: { operations: steps.length, bytes: steps.length * 256 },
      apply() {
        for (const delivery of dead) context.engine.forget(delivery);
      },
    },
  );
  return deaths;
}

export function agentsOf(deliveries: readonly OpenDelivery[]): AgentId[] {
  return [...new Set(deliveries.map((it) => it.inbox.agent_id))];
}
