import type { Clock, StartTimer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config.ts";
import type { LeaseId } from "../contract/messages.ts";
import type { Announcer } from "./announcer.ts";
import type { Cursors } from "./cursors.ts";
import type { Store } from "./ports.ts";

/** What every use case works with. */
export type Office = {
  readonly store: Store;
  readonly clock: Clock;
  readonly startTimer: StartTimer;
  readonly config: Config;
  readonly newId: () => string;
  readonly log: Log;
  readonly announcer: Announcer;
  readonly cursors: Cursors;
  /** Who wants to know that a lease has ended: the subscription whose credit it took. Entries are removed as they end. */
  readonly leaseEnds: Map<LeaseId, () => void>;
  /** Elapsed time at which this process opened the store. */
  readonly opened_at_ms: number;
};

/** Gives the credit for a lease back, if a subscription paid it. */
export function endLease({ leaseEnds }: Office, lease_id: LeaseId): void {
  const ended = leaseEnds.get(lease_id);
  if (!ended) return;
  leaseEnds.delete(lease_id);
  ended();
}
