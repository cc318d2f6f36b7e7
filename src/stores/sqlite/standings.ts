import type { LeaseOutcome, LeaseRef } from "../../app/ports.ts";
import type { AgentId, DeliveryStatus, LeaseId, MessageId } from "../../contract/messages.ts";
import type { StoreContext } from "./context.ts";
import { type StoredDelivery, storedStatus } from "./lookups.ts";
import { type OpenDelivery, toStatus } from "./open-delivery.ts";

/** How deliveries stand: as memory has it while they are open, as the disk has it once they are over. */
export type Standings = {
  /** Whether this lease holds: its time is not over, even if the sweep is yet to come, and nothing is being done with it. */
  isCurrent(delivery: OpenDelivery, ref: LeaseRef): boolean;
  /** What to say of a lease that does not hold. */
  lostLease(ref: LeaseRef): Promise<LeaseOutcome>;
  statuses(message_id: MessageId, position: number): DeliveryStatus[];
  openDelivery(agent_id: AgentId, position: number): OpenDelivery | undefined;
};

export function createStandings({ clock, engine, lookups, queue }: StoreContext): Standings {
  function openDelivery(agent_id: AgentId, position: number): OpenDelivery | undefined {
    return engine.inboxes.get(agent_id)?.open.get(position);
  }

  function statusOf(message_id: MessageId, position: number, stored: StoredDelivery): DeliveryStatus {
    const open = openDelivery(stored.agent_id, position);
    return open ? toStatus(open) : storedStatus(message_id, stored);
  }

  return {
    isCurrent: (delivery, { message_id, agent_id }) =>
      delivery.state === "leased" &&
      !delivery.settling &&
      delivery.message_id === message_id &&
      (agent_id === undefined || delivery.inbox.agent_id === agent_id) &&
      delivery.lease_ends_ms > clock.elapsed(),

    async lostLease(ref) {
      const { message_id, lease_id } = ref;
      // What has happened to it may still be on its way to the disk.
      await queue.barrier();
      const position = lookups.position(message_id);
      if (position === undefined) return { outcome: "message_not_found" };
      const stored = lookups.deliveries(position);
      const leased = stored[recipientOfLease(lease_id, position)];
      const one = leased && isOwn(leased, ref) ? leased : stored.find((it) => isOwn(it, ref));
      if (!one) return { outcome: "message_not_found" };
      return { outcome: "lease_lost", status: statusOf(message_id, position, one) };
    },

    statuses: (message_id, position) => lookups.deliveries(position).map((it) => statusOf(message_id, position, it)),
    openDelivery,
  };
}

/** Whether the delivery is whose the lease is said to be. */
export function isOwn({ agent_id }: Pick<StoredDelivery, "agent_id">, ref: LeaseRef): boolean {
  return ref.agent_id === undefined || ref.agent_id === agent_id;
}

/** A lease id names its message and recipient, so that it is known whose it was long after it has ended; -1: not of this one. */
export function recipientOfLease(lease_id: LeaseId, position: number): number {
  const [, , leased, recipient] = lease_id.split(".");
  return leased === position.toString(36) ? Number.parseInt(recipient ?? "-1", 36) : -1;
}
