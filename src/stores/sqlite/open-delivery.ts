import type { Clock } from "../../base/clock.ts";
import { toTimestamp } from "../../base/time.ts";
import type {
  AgentId,
  DeliveryState,
  DeliveryStatus,
  LeaseId,
  Message,
  MessageId,
  MessageType,
} from "../../contract/messages.ts";
import type { Heap } from "./heap.ts";
import type { DeliveryWrite } from "./protocol.ts";

/**
 * A delivery that is not over, as the engine holds it. All that is needed to hand it out; the body only while the cache
 * has room.
 */
export type OpenDelivery = {
  readonly position: number;
  /** Its number among the recipients of its message. */
  readonly recipient: number;
  readonly inbox: InboxState;
  readonly message_id: MessageId;
  readonly message_type: MessageType;
  /** 0 for urgent to 3 for low. */
  readonly rank: number;
  /** 0 for interrupt to 3 for digest. */
  readonly moment: number;
  readonly accepted_ms: number;
  /** When its reader could first have it. */
  readonly readable_ms: number;
  message: Message | undefined;
  state: DeliveryState;
  attempt: number;
  /** Wall time; Infinity: never. */
  expires_ms: number;
  /** Why it is scheduled, held or dead. */
  reason: string | undefined;
  /** While scheduled: as shown; then wall time and elapsed time to wait for, -Infinity where there is nothing to wait for. */
  available_ms: number;
  not_before_ms: number;
  delay_ends_ms: number;
  /** While leased; `lease_ends_ms` on the elapsed clock, `lease_expires_ms` as shown. */
  lease_id: LeaseId | undefined;
  lease_ends_ms: number;
  lease_expires_ms: number;
  /** A change of it is on its way to the disk; until that is there, nothing else may happen to it. */
  settling: boolean;
  /** Whether the ledger says that it ranks higher for having waited. */
  aged: boolean;
  /** The effective rank under which it lies among the ready ones. */
  ready_rank: number;
};

export type InboxState = {
  readonly agent_id: AgentId;
  /** By position of the message. What is over stays until the disk knows. */
  readonly open: Map<number, OpenDelivery>;
  /** Ready ones by effective rank and moment: index `rank * 4 + moment`. */
  readonly ready: (Heap<OpenDelivery> | undefined)[];
  /** Index `rank * 4 + index of the state`. */
  readonly depth: number[];
  leased: number;
  dead: number;
};

export const openStates = ["ready", "scheduled", "leased", "held"] as const;
export type OpenState = (typeof openStates)[number];

/** -1 for a state that is not open. */
export function openStateIndex(state: DeliveryState): number {
  return (openStates as readonly string[]).indexOf(state);
}

/** The clock that a back-off on disk is measured by: wall time as it would be had nobody set the clock since the start. */
export type SteadyClock = Clock & { steady(): number; toElapsed(steady_ms: number): number };

export function steadyClock(clock: Clock): SteadyClock {
  const offset_ms = clock.now() - clock.elapsed();
  return {
    now: () => clock.now(),
    elapsed: () => clock.elapsed(),
    // A whole number: it is written to a column of integers.
    steady: () => Math.ceil(offset_ms + clock.elapsed()),
    toElapsed: (steady_ms) => steady_ms - offset_ms,
  };
}

export function toStatus(delivery: OpenDelivery): DeliveryStatus {
  const { message_id, inbox, state, attempt, reason = "" } = delivery;
  const common = { message_id, agent_id: inbox.agent_id, state, attempt };
  switch (state) {
    case "scheduled":
      return { ...common, available_at: toTimestamp(delivery.available_ms), reason };
    case "leased": {
      const lease_expires_at = toTimestamp(delivery.lease_expires_ms);
      return { ...common, lease_expires_at, ...(delivery.lease_id && { lease_id: delivery.lease_id }) };
    }
    case "held":
    case "dead":
      return { ...common, reason };
    case "ready":
    case "acknowledged":
      return common;
  }
}

/** How the delivery is to stand on disk: like now, but for what is given. */
export function toWrite(
  delivery: OpenDelivery,
  changes: Pick<DeliveryWrite, "state" | "depth_change"> &
    Partial<Pick<DeliveryWrite, "available_ms" | "delay_until_ms" | "reason" | "attempt">> & { expires_ms?: number },
): DeliveryWrite {
  const { position, recipient, inbox, attempt, expires_ms } = delivery;
  const { expires_ms: new_expires_ms = expires_ms, ...rest } = changes;
  const expiry = Number.isFinite(new_expires_ms) ? { expires_ms: new_expires_ms } : {};
  return { position, recipient, agent_id: inbox.agent_id, attempt, ...expiry, ...rest };
}
