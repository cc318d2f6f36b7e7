import type { Claim, ClaimOutcome, DeliveryStore, LeaseOutcome } from "../../app/ports.ts";
import { toTimestamp } from "../../base/time.ts";
import { type Delivery, type LeaseId, moments, priorities } from "../../contract/messages.ts";
import { rankOf } from "../../core/messaging/order.ts";
import type { StoreContext } from "./context.ts";
import { type OpenDelivery, toStatus } from "./open-delivery.ts";
import type { LedgerStep } from "./protocol.ts";
import { createStandings } from "./standings.ts";
import { bodyOf, endAttempt, ledgerStep, type Transition } from "./transitions.ts";

/** Handing out, and what the holder of a lease can do with it besides acknowledging. */
export function leasing(context: StoreContext): Pick<DeliveryStore, "claim" | "extend" | "record" | "reject"> {
  const { engine, clock, queue, counts } = context;
  const { isCurrent, lostLease } = createStandings(context);
  const lease = createLease(context);

  function claim({ agent_id, limit, lease_ms, min_priority, when, actor }: Claim): ClaimOutcome {
    const inbox = engine.inbox(agent_id);
    const left = context.policy.open_leases_per_agent - inbox.leased;
    if (left <= 0) return { outcome: "lease_limit", open_leases: inbox.leased };
    const taken = engine.take(inbox, {
      limit: Math.min(limit, left),
      max_rank: min_priority === undefined ? priorities.length - 1 : rankOf(min_priority),
      max_moment: when === undefined ? moments.length - 1 : moments.indexOf(when),
    });
    const ledger: LedgerStep[] = [];
    const deliveries = taken.map((it) => lease(it, { lease_ms, actor }, ledger));
    noteLater(context, ledger);
    return { outcome: "claimed", deliveries };
  }

  return {
    claim: async (wanted) => claim(wanted),

    async extend(ref, lease_ms, actor) {
      const delivery = engine.leased(ref.lease_id);
      if (!delivery || !isCurrent(delivery, ref)) return lostLease(ref);
      holdFor(context, delivery, lease_ms);
      engine.move(delivery, "leased");
      const reason = `lease ${lease_ms} ms`;
      noteLater(context, [ledgerStep(delivery, clock.now(), { event: "lease_extended", actor, reason })]);
      return { outcome: "done", status: toStatus(delivery) };
    },

    async record(ref, { event, reason, actor }) {
      const delivery = engine.leased(ref.lease_id);
      if (!delivery || !isCurrent(delivery, ref)) return lostLease(ref);
      const step = { ledger: [ledgerStep(delivery, clock.now(), { event, actor, reason })] };
      const status = toStatus(delivery);
      return queue.submit({ operation: "steps", steps: [step] }, { apply: () => ({ outcome: "done", status }) });
    },

    async reject(ref, reason, options) {
      const delivery = engine.leased(ref.lease_id);
      if (!delivery || !isCurrent(delivery, ref)) return lostLease(ref);
      const first = { event: "rejected", reason } as const;
      const outcome = await doWhenWritten(
        context,
        delivery,
        endAttempt(context, delivery, { reason, ...options, first }),
      );
      counts.rejected += 1;
      return outcome;
    },
  };
}

function createLease(context: StoreContext) {
  const { clock, engine, counts } = context;
  const nextLeaseId = leaseIds(context.generation);
  return (delivery: OpenDelivery, by: { lease_ms: number; actor: string }, ledger: LedgerStep[]): Delivery => {
    const { lease_ms, actor } = by;
    const message = bodyOf(context, delivery);
    const lease_id = nextLeaseId(delivery);
    const attempt = delivery.attempt + 1;
    delivery.attempt = attempt;
    delivery.lease_id = lease_id;
    holdFor(context, delivery, lease_ms);
    engine.move(delivery, "leased");
    counts.delivered += 1;
    if (attempt > 1) counts.redelivered += 1;
    const reason = `attempt ${attempt}, lease ${lease_ms} ms`;
    ledger.push(ledgerStep(delivery, clock.now(), { event: "leased", actor, reason }));
    const lease_expires_at = toTimestamp(delivery.lease_expires_ms);
    return { message, agent_id: delivery.inbox.agent_id, lease_id, lease_expires_at, attempt };
  };
}

function holdFor({ clock }: StoreContext, delivery: OpenDelivery, lease_ms: number): void {
  delivery.lease_ends_ms = clock.elapsed() + lease_ms;
  delivery.lease_expires_ms = clock.now() + lease_ms;
}

/** For the ledger only: it goes along with the next batch. */
function noteLater({ queue }: StoreContext, ledger: readonly LedgerStep[]): void {
  if (ledger.length === 0) return;
  const size = { operations: ledger.length, bytes: ledger.length * 256 };
  queue.append({ operation: "steps", steps: [{ ledger }] }, { size });
}

/** Writes a transition down, and only then does it. */
async function doWhenWritten(
  { engine, queue }: StoreContext,
  delivery: OpenDelivery,
  { step, apply }: Transition,
): Promise<LeaseOutcome> {
  delivery.settling = true;
  return queue.submit(
    { operation: "steps", steps: [step] },
    {
      apply(): LeaseOutcome {
        delivery.settling = false;
        const dead = apply();
        const status = toStatus(delivery);
        if (dead) engine.forget(delivery);
        return { outcome: "done", status, ...(dead && { dead }) };
      },
      undo: () => engine.restore(delivery),
    },
  );
}

/** Names that no other lease of this hive has, in this start or another, and that nobody guesses. */
function leaseIds(generation: number): (delivery: OpenDelivery) => LeaseId {
  const random = new Uint32Array(1_024);
  let used = random.length;
  let counter = 0;
  return ({ position, recipient }) => {
    if (used === random.length) {
      crypto.getRandomValues(random);
      used = 0;
    }
    const secret = (random[used++] ?? 0).toString(16).padStart(8, "0");
    counter += 1;
    const place = `${position.toString(36)}.${recipient.toString(36)}`;
    return `${generation.toString(36)}.${counter.toString(36)}.${place}.${secret}` as LeaseId; // Made here, and only here.
  };
}
