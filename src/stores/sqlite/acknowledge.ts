import type { AcknowledgeOutcome, LeaseRef } from "../../app/ports.ts";
import type { StoreContext } from "./context.ts";
import type { OpenDelivery } from "./open-delivery.ts";
import type { AcknowledgeStep } from "./protocol.ts";
import { createStandings, isOwn, recipientOfLease } from "./standings.ts";

/**
 * Acknowledges what is leased by these leases, all in one request to the disk; what is not is looked up after, so that a
 * repeated acknowledgement, even within one call, sees the first.
 */
export async function acknowledge(
  context: StoreContext,
  refs: readonly LeaseRef[],
  actor: string,
): Promise<readonly AcknowledgeOutcome[]> {
  const { isCurrent } = createStandings(context);
  const current = new Map<LeaseRef, OpenDelivery>();
  for (const ref of refs) {
    const delivery = context.engine.leased(ref.lease_id);
    if (!delivery || !isCurrent(delivery, ref)) continue;
    delivery.settling = true;
    current.set(ref, delivery);
  }
  if (current.size > 0) await write(context, [...current.values()], actor);
  if (current.size === refs.length) return refs.map(() => "acknowledged");
  await context.queue.barrier();
  return refs.map((ref) => (current.has(ref) ? "acknowledged" : lookUp(context, ref)));
}

function write(context: StoreContext, deliveries: readonly OpenDelivery[], actor: string): Promise<void> {
  const { engine, clock, counts, queue } = context;
  return queue.submit(
    { operation: "acknowledge", at_ms: clock.now(), actor, steps: deliveries.flatMap(toStep) },
    {
      size: { operations: deliveries.length, bytes: deliveries.length * 256 },
      apply() {
        for (const delivery of deliveries) {
          delivery.settling = false;
          engine.end(delivery, "acknowledged");
          engine.forget(delivery);
        }
        counts.acknowledged += deliveries.length;
      },
      undo() {
        for (const delivery of deliveries) engine.restore(delivery);
      },
    },
  );
}

function toStep({ position, recipient, inbox, attempt, lease_id }: OpenDelivery): AcknowledgeStep[] {
  return lease_id ? [{ position, recipient, agent_id: inbox.agent_id, attempt, lease_id }] : [];
}

/** What is not leased by this lease now: acknowledged by it before, or lost. */
function lookUp({ lookups }: StoreContext, ref: LeaseRef): AcknowledgeOutcome {
  const { message_id, lease_id } = ref;
  const position = lookups.position(message_id);
  if (position === undefined) return "message_not_found";
  const deliveries = lookups.deliveries(position);
  if (!deliveries.some((it) => isOwn(it, ref))) return "message_not_found";
  const delivery = deliveries[recipientOfLease(lease_id, position)];
  const isDone = delivery?.state === "acknowledged" && delivery.lease_id === lease_id && isOwn(delivery, ref);
  return isDone ? "acknowledged" : "lease_lost";
}
