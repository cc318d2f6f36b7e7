import type { Clock, StartTimer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config.ts";
import type { AgentId, LeaseId } from "../contract/messages.ts";
import type { Access } from "./access.ts";
import type { Announcer } from "./announcer.ts";
import type { AuditLog } from "./audit.ts";
import type { Cursors } from "./cursors.ts";
import type { HiveKeys } from "./keys.ts";
import type { Store } from "./ports.ts";

/** What every use case works with. */
export type Office = {
  readonly store: Store;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly startTimer: StartTimer;
  readonly config: Config;
  readonly newId: () => string;
  readonly log: Log;
  readonly announcer: Announcer;
  readonly cursors: Cursors;
  readonly access: Access;
  readonly keys: HiveKeys;
  /** Who wants to know that a lease has ended: the subscription whose credit it took. Entries are removed as they end. */
  readonly leaseEnds: Map<LeaseId, { readonly agent_id: AgentId; readonly ended: () => void }>;
  /** Elapsed time at which this process opened the store. */
  readonly opened_at_ms: number;
};

/** Gives the credit for a lease back, if a subscription paid it. */
export function endLease({ leaseEnds }: Office, lease_id: LeaseId): void {
  const paid = leaseEnds.get(lease_id);
  if (!paid) return;
  leaseEnds.delete(lease_id);
  paid.ended();
}

/** Gives the credit for every lease of an agent back, as when all that waited for it was given up. */
export function endLeasesOf(office: Office, agent_id: AgentId): void {
  for (const [lease_id, paid] of [...office.leaseEnds]) if (paid.agent_id === agent_id) endLease(office, lease_id);
}
