import type { Claim, ClaimOutcome, DeliveryStore, LeaseOutcome } from "../../app/ports.ts";
import { toTimestamp } from "../../base/time.ts";
import { type Delivery, type LeaseId, moments, priorities } from "../../contract/messages.ts";
import { rankOf } from "../../core/messaging/order.ts";
import { acknowledge } from "./acknowledge.ts";
import type { StoreContext } from "./context.ts";
import { type OpenDelivery, toStatus } from "./open-delivery.ts";
import type { LedgerStep } from "./protocol.ts";
import { publish } from "./publish.ts";
import { createRedrive } from "./redrive.ts";
import { createStandings } from "./standings.ts";
import { sweep } from "./sweep.ts";
import { agentsOf, bodyOf, die, doNow, endAttempt, ledgerStep, type Transition } from "./transitions.ts";

export function deliveryStore(context: StoreContext): DeliveryStore {
  const { engine, clock, queue } = context;
  const { isCurrent, lostLease } = createStandings(context);
  const nextLeaseId = leaseIds(context.generation);
  const redrive = createRedrive(context);

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
    noteLater(ledger);
    return { outcome: "claimed", deliveries };
  }

  function lease(delivery: OpenDelivery, by: { lease_ms: number; actor: string }, ledger: LedgerStep[]): Delivery {
    const { lease_ms, actor } = by;
    const now = clock.now();
    const lease_id = nextLeaseId(delivery);
    const attempt = delivery.attempt + 1;
    delivery.attempt = attempt;
    delivery.lease_id = lease_id;
    holdFor(delivery, lease_ms);
    engine.move(delivery, "leased");
    context.counts.delivered += 1;
    if (attempt > 1) context.counts.redelivered += 1;
    ledger.push(
      ledgerStep(delivery, now, { event: "leased", actor, reason: `attempt ${attempt}, lease ${lease_ms} ms` }),
    );
    const lease_expires_at = toTimestamp(delivery.lease_expires_ms);
    return {
      message: bodyOf(context, delivery),
      agent_id: delivery.inbox.agent_id,
      lease_id,
      lease_expires_at,
      attempt,
    };
  }

  function holdFor(delivery: OpenDelivery, lease_ms: number): void {
    delivery.lease_ends_ms = clock.elapsed() + lease_ms;
    delivery.lease_expires_ms = clock.now() + lease_ms;
  }

  function noteLater(ledger: readonly LedgerStep[]): void {
    if (ledger.length === 0) return;
    const size = { operations: ledger.length, bytes: ledger.length * 256 };
    queue.append({ operation: "steps", steps: [{ ledger }] }, { size });
  }

  /** Writes a transition down, and only then does it. */
  async function doWhenWritten(delivery: OpenDelivery, { step, apply }: Transition): Promise<LeaseOutcome> {
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

  return {
    publish: (publications) => publish(context, publications),
    claim: async (wanted) => claim(wanted),
    acknowledge: (leases, actor) => acknowledge(context, leases, actor),

    async reject(ref, reason, options) {
      const delivery = engine.leased(ref.lease_id);
      if (!delivery || !isCurrent(delivery, ref)) return lostLease(ref);
      const first = { event: "rejected", reason } as const;
      const outcome = await doWhenWritten(delivery, endAttempt(context, delivery, { reason, ...options, first }));
      context.counts.rejected += 1;
      return outcome;
    },

    async extend(ref, lease_ms, actor) {
      const delivery = engine.leased(ref.lease_id);
      if (!delivery || !isCurrent(delivery, ref)) return lostLease(ref);
      holdFor(delivery, lease_ms);
      engine.move(delivery, "leased");
      const reason = `lease ${lease_ms} ms`;
      noteLater([ledgerStep(delivery, clock.now(), { event: "lease_extended", actor, reason })]);
      return { outcome: "done", status: toStatus(delivery) };
    },

    async record(ref, { event, reason, actor }) {
      const delivery = engine.leased(ref.lease_id);
      if (!delivery || !isCurrent(delivery, ref)) return lostLease(ref);
      const step = { ledger: [ledgerStep(delivery, clock.now(), { event, actor, reason })] };
      const status = toStatus(delivery);
      return queue.submit({ operation: "steps", steps: [step] }, { apply: () => ({ outcome: "done", status }) });
    },

    async release(leases, reason) {
      const ended = leases.flatMap((lease_id) => engine.leased(lease_id) ?? []).filter((it) => !it.settling);
      const failure = { reason, actor: "hivepost", delay_ms: 0 };
      const deaths = doNow(
        context,
        [...new Set(ended)].map((it) => [it, endAttempt(context, it, failure)]),
      );
      return { woken: agentsOf(ended.filter((it) => it.state === "ready")), deaths };
    },

    sweep: async (limit) => sweep(context, limit),
    redrive: redrive.redrive,

    async retire(agent_id, reason, actor) {
      // First what is on its way: messages that are being accepted, and deliveries whose end is being written.
      await queue.barrier();
      await redrive.idle();
      const open = [...engine.inbox(agent_id).open.values()].filter((it) => it.state !== "dead" && !it.settling);
      open.sort((a, b) => a.position - b.position);
      const deaths = doNow(
        context,
        open.map((it) => [it, die(context, it, { reason, actor })]),
      );
      await queue.barrier();
      return deaths;
    },
  };
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
