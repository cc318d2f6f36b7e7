import type { LeaseId } from "../contract/messages.ts";
import type { Input, Output } from "../contract/operations.ts";
import type { OperationName } from "../contract/routes.ts";

/** The leases that were claimed over one connection and are, as far as it knows, still open. */
export type OpenLeases = {
  /** Takes note of what an operation that succeeded means for the leases. */
  note(name: OperationName, input: unknown, output: unknown): void;
  /** All of them, for giving back; forgets them. */
  takeAll(): LeaseId[];
};

/** Leases above which those that have run out are looked for; doubles with what is left. */
const first_sweep = 1_024;

export function createOpenLeases(now: () => number): OpenLeases {
  /** Lease → when it ends, RFC 3339 in UTC: such times sort as text. */
  const open = new Map<LeaseId, string>();
  let sweep_above = first_sweep;

  const sweep = () => {
    const current = new Date(now()).toISOString();
    for (const [lease_id, expires_at] of open) if (expires_at < current) open.delete(lease_id);
    sweep_above = Math.max(first_sweep, open.size * 2);
  };

  const noted: { readonly [Name in OperationName]?: (input: Input<Name>, output: Output<Name>) => void } = {
    claimMessages(_, { deliveries }) {
      for (const { lease_id, lease_expires_at } of deliveries) open.set(lease_id, lease_expires_at);
      if (open.size > sweep_above) sweep();
    },
    acknowledgeMessage: ({ lease_id }) => open.delete(lease_id),
    acknowledgeMessages({ acknowledgements }) {
      for (const { lease_id } of acknowledgements) open.delete(lease_id);
    },
    rejectMessage: ({ lease_id }) => open.delete(lease_id),
    extendLease({ lease_id }, { lease_expires_at }) {
      if (lease_expires_at !== undefined && open.has(lease_id)) open.set(lease_id, lease_expires_at);
    },
  };

  return {
    note(name, input, output) {
      noted[name]?.(input as never, output as never);
    },
    takeAll() {
      const leases = [...open.keys()];
      open.clear();
      return leases;
    },
  };
}
