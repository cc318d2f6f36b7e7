import type { Death, Sweep } from "../../app/ports.ts";
import { type AgentId, type LeaseId, priorities } from "../../contract/messages.ts";
import type { StoreContext } from "./context.ts";
import type { Due, DueQueue } from "./due-queue.ts";
import type { OpenDelivery } from "./open-delivery.ts";
import { becomeReady, die, doNow, endAttempt, itself, ledgerStep, type Transition } from "./transitions.ts";

type Swept = { readonly woken: Set<AgentId>; readonly deaths: Death[]; readonly expired: LeaseId[] };

/** Does what has fallen due, in four steps, each in the order in which it fell due and at most `limit` of it. */
export function sweep(context: StoreContext, limit: number): Sweep {
  const swept: Swept = { woken: new Set(), deaths: [], expired: [] };
  endLeases(context, limit, swept);
  expireMessages(context, limit, swept);
  makeScheduledReady(context, limit, swept);
  noteAging(context, limit, swept);
  return { ...swept, woken: [...swept.woken], next_due_ms: nextDue(context) };
}

/** Takes up to `limit` of what is due, each once: a delivery that was ready twice waits twice for its message's end. */
function takeDue(queue: DueQueue, isDue: (due: Due) => boolean, limit: number): OpenDelivery[] {
  const taken = new Set<OpenDelivery>();
  for (let top = queue.first(); top && taken.size < limit && isDue(top); top = queue.first()) {
    queue.takeFirst();
    taken.add(top.delivery);
  }
  return [...taken];
}

function endLeases(context: StoreContext, limit: number, { woken, deaths, expired }: Swept): void {
  const elapsed = context.clock.elapsed();
  const due = takeDue(context.engine.due.leases, ({ due_ms }) => due_ms <= elapsed, limit);
  const failure = { reason: "lease expired", actor: itself, first: { event: "lease_expired" } } as const;
  for (const { lease_id } of due) if (lease_id) expired.push(lease_id);
  deaths.push(
    ...doNow(
      context,
      due.map((it) => [it, endAttempt(context, it, failure)]),
    ),
  );
  for (const { state, inbox } of due) if (state === "ready") woken.add(inbox.agent_id);
}

function expireMessages(context: StoreContext, limit: number, { deaths }: Swept): void {
  const now = context.clock.now();
  const due = takeDue(context.engine.due.expiring, ({ due_ms }) => due_ms <= now, limit);
  const cause = { reason: "expired", actor: itself };
  deaths.push(
    ...doNow(
      context,
      due.map((it) => [it, die(context, it, cause)]),
    ),
  );
}

function makeScheduledReady(context: StoreContext, limit: number, { woken }: Swept): void {
  findAvailable(context);
  const available = { ...context.engine.due.available, first: () => firstAvailable(context) };
  const due = takeDue(available, () => true, limit);
  doNow(
    context,
    due.map((it): [OpenDelivery, Transition] => [it, becomeReady(context, it, { actor: itself })]),
  );
  for (const { inbox } of due) woken.add(inbox.agent_id);
}

/** Moves what both clocks call due to where it is ordered by the time that it was promised for. */
function findAvailable({ engine, clock }: StoreContext): void {
  const [now, elapsed] = [clock.now(), clock.elapsed()];
  const { notBefore, delays, available } = engine.due;
  for (const delivery of takeDue(notBefore, ({ due_ms }) => due_ms <= now, Number.POSITIVE_INFINITY)) {
    if (delivery.delay_ends_ms <= elapsed) available.add(delivery, delivery.available_ms);
    else delays.add(delivery, delivery.delay_ends_ms);
  }
  for (const delivery of takeDue(delays, ({ due_ms }) => due_ms <= elapsed, Number.POSITIVE_INFINITY)) {
    if (delivery.not_before_ms <= now) available.add(delivery, delivery.available_ms);
    else notBefore.add(delivery, delivery.not_before_ms);
  }
}

/** The first of what is due still: what an earlier sweep left waits again if the wall clock was set back since. */
function firstAvailable({ engine, clock }: StoreContext): Due | undefined {
  const { notBefore, available } = engine.due;
  for (let top = available.first(); top; top = available.first()) {
    if (top.delivery.not_before_ms <= clock.now()) return top;
    available.takeFirst();
    notBefore.add(top.delivery, top.delivery.not_before_ms);
  }
  return undefined;
}

function noteAging(context: StoreContext, limit: number, { woken }: Swept): void {
  const { engine, clock, policy, queue } = context;
  const { aging_ms } = policy;
  if (aging_ms === undefined) return;
  const now = clock.now();
  const due = takeDue(engine.due.aging, ({ due_ms }) => now - due_ms > aging_ms, limit);
  if (due.length === 0) return;
  const ledger = due.map((delivery) => {
    delivery.aged = true;
    woken.add(delivery.inbox.agent_id);
    const reason = `waited longer than ${aging_ms} ms: ranks as ${priorities[delivery.rank - 1]}`;
    return ledgerStep(delivery, now, { event: "ready", actor: itself, reason });
  });
  queue.append(
    { operation: "steps", steps: [{ ledger }] },
    { size: { operations: ledger.length, bytes: ledger.length * 256 } },
  );
}

/** Puts what comes first under the clock that it has to wait longest by: by the other it would hide what comes behind it. */
function sortWaits({ engine, clock }: StoreContext): void {
  const { notBefore, delays } = engine.due;
  const ahead_ms = clock.now() - clock.elapsed();
  const waitsForDelay = ({ delivery: it }: Due) => it.not_before_ms - ahead_ms < it.delay_ends_ms;
  const waitsForWall = ({ delivery: it }: Due) => it.not_before_ms - ahead_ms > it.delay_ends_ms;
  for (const it of takeDue(notBefore, waitsForDelay, Number.POSITIVE_INFINITY)) delays.add(it, it.delay_ends_ms);
  for (const it of takeDue(delays, waitsForWall, Number.POSITIVE_INFINITY)) notBefore.add(it, it.not_before_ms);
}

function nextDue(context: StoreContext): number | undefined {
  const { engine, clock, policy } = context;
  const [now, elapsed] = [clock.now(), clock.elapsed()];
  const { leases, notBefore, delays, expiring, aging } = engine.due;
  const available = firstAvailable(context);
  sortWaits(context);
  const waits = [
    timeTo(leases.first(), elapsed),
    available && 0,
    timeTo(notBefore.first(), now),
    timeTo(delays.first(), elapsed),
    timeTo(expiring.first(), now),
    policy.aging_ms === undefined ? undefined : timeTo(aging.first(), now - policy.aging_ms - 1),
  ].filter((it) => it !== undefined);
  return waits.length === 0 ? undefined : Math.max(0, Math.min(...waits));
}

function timeTo(due: Due | undefined, now: number): number | undefined {
  return due && due.due_ms - now;
}
