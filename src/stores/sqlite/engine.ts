import type { AgentId, LeaseId, Message } from "../../contract/messages.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";
import { createDueQueue, type Due, type DueQueue } from "./due-queue.ts";
import {
  type InboxState,
  type OpenDelivery,
  type OpenState,
  openStateIndex,
  type SteadyClock,
} from "./open-delivery.ts";
import { createReadyQueues, type Wanted } from "./ready-queues.ts";
import { sealedSize } from "./rows.ts";

/*
 * Every delivery that is not over, in memory, ordered for handing out. The disk is behind it: what must survive a crash is
 * written by the commit queue, before (publish, acknowledge, reject, redrive) or after (claim, end of a lease). Claims are
 * decided here alone and never wait for the disk.
 */
export type Engine = {
  readonly inboxes: ReadonlyMap<AgentId, InboxState>;
  readonly due: DueQueues;
  inbox(agent_id: AgentId): InboxState;
  leased(lease_id: LeaseId): OpenDelivery | undefined;
  /** A new open delivery, or one that is open again. */
  enter(delivery: OpenDelivery): void;
  /** Moves an open delivery into another open state, or renews the one it has; its fields are set already. */
  move(delivery: OpenDelivery, state: OpenState): void;
  /** Counts it out; it stays findable until `forget`. */
  end(delivery: OpenDelivery, state: "acknowledged" | "dead"): void;
  forget(delivery: OpenDelivery): void;
  /** What was to happen to it did not: it stands as before. */
  restore(delivery: OpenDelivery): void;
  /** Takes the best that may be had; they are the caller's to lease. */
  take(inbox: InboxState, wanted: Wanted): OpenDelivery[];
  /** Keeps the body of a delivery that is about to enter, if there is room. */
  keepBody(message: Message): Message | undefined;
};

/** What waits for time to pass. Each by its own clock: nothing may fall due because somebody set the wall clock but wall times. */
export type DueQueues = {
  /** Leases, by elapsed time. */
  readonly leases: DueQueue;
  /** Scheduled ones that wait for a wall time, and those that wait for a delay to pass, by elapsed time. */
  readonly notBefore: DueQueue;
  readonly delays: DueQueue;
  /** Scheduled ones that have been found due, by the time they were promised for. */
  readonly available: DueQueue;
  /** What is open and not leased, by wall time. */
  readonly expiring: DueQueue;
  /** Ready ones that the ledger does not yet say rank higher, by the time they could be had. */
  readonly aging: DueQueue;
};

export function createEngine(clock: SteadyClock, { aging_ms }: DeliveryPolicy): Engine {
  const inboxes = new Map<AgentId, InboxState>();
  const leases = new Map<LeaseId, OpenDelivery>();
  const bodies = createBodyBudget();
  const due = createDueQueues();
  const ready = createReadyQueues(clock, aging_ms, inboxes);

  /** Puts it where its state makes it findable. */
  function place(delivery: OpenDelivery): void {
    if (delivery.state === "leased" && delivery.lease_id) leases.set(delivery.lease_id, delivery);
    if (delivery.state === "ready") ready.add(delivery);
    placeInTime(due, delivery, clock, aging_ms);
  }

  function leave(delivery: OpenDelivery): void {
    count(delivery, -1);
    if (delivery.lease_id) leases.delete(delivery.lease_id);
  }

  return {
    inboxes,
    due,
    take: ready.take,
    keepBody: bodies.keep,
    leased: (lease_id) => leases.get(lease_id),
    inbox(agent_id) {
      const inbox = inboxes.get(agent_id) ?? emptyInbox(agent_id);
      inboxes.set(agent_id, inbox);
      return inbox;
    },
    enter(delivery) {
      delivery.inbox.open.set(delivery.position, delivery);
      count(delivery, 1);
      place(delivery);
    },
    move(delivery, state) {
      leave(delivery);
      delivery.state = state;
      count(delivery, 1);
      place(delivery);
    },
    end(delivery, state) {
      leave(delivery);
      delivery.state = state;
    },
    forget(delivery) {
      delivery.inbox.open.delete(delivery.position);
      bodies.drop(delivery.message);
      delivery.message = undefined;
    },
    restore(delivery) {
      delivery.settling = false;
      place(delivery);
    },
  };
}

/** Enters what it waits for, if anything. */
function placeInTime(due: DueQueues, delivery: OpenDelivery, clock: SteadyClock, aging_ms: number | undefined): void {
  const { state, rank, aged, expires_ms } = delivery;
  if (state === "leased") due.leases.add(delivery, delivery.lease_ends_ms);
  else if (expires_ms !== Number.POSITIVE_INFINITY) due.expiring.add(delivery, expires_ms);
  if (state === "scheduled") placeScheduled(due, delivery, clock);
  if (state === "ready" && aging_ms !== undefined && rank > 0 && !aged) due.aging.add(delivery, delivery.readable_ms);
}

/** Under whichever it has to wait for longer as things stand; the sweep looks at both. */
function placeScheduled({ notBefore, delays }: DueQueues, delivery: OpenDelivery, clock: SteadyClock): void {
  const { not_before_ms, delay_ends_ms } = delivery;
  const waitsForWall = not_before_ms - clock.now() >= delay_ends_ms - clock.elapsed();
  if (waitsForWall) notBefore.add(delivery, not_before_ms);
  else delays.add(delivery, delay_ends_ms);
}

function emptyInbox(agent_id: AgentId): InboxState {
  return { agent_id, open: new Map(), ready: [], depth: Array<number>(16).fill(0), leased: 0, dead: 0 };
}

function count({ inbox, rank, state }: OpenDelivery, change: 1 | -1): void {
  const index = openStateIndex(state);
  if (index < 0) return;
  const at = rank * 4 + index;
  inbox.depth[at] = (inbox.depth[at] ?? 0) + change;
  if (state === "leased") inbox.leased += change;
}

function createDueQueues(): DueQueues {
  const isScheduled = ({ delivery }: Due) => delivery.state === "scheduled";
  return {
    leases: createDueQueue(({ due_ms, delivery: it }) => isStill(it, "leased") && it.lease_ends_ms === due_ms),
    notBefore: createDueQueue(isScheduled),
    delays: createDueQueue(isScheduled),
    available: createDueQueue(isScheduled),
    expiring: createDueQueue(
      ({ due_ms, delivery: it }) => isStill(it, "ready", "scheduled", "held") && it.expires_ms === due_ms,
    ),
    aging: createDueQueue(({ delivery: it }) => it.state === "ready" && !it.aged),
  };
}

function isStill(delivery: OpenDelivery, ...states: OpenState[]): boolean {
  return !delivery.settling && (states as readonly string[]).includes(delivery.state);
}

/** Bodies of open deliveries kept in memory, UTF-16 at worst; the others are read again when they are handed out. */
const bodies_bytes = 64 * 1_024 * 1_024;
const perMessage_bytes = 1_024;

/** First come, first kept: what came first is also handed out first. */
function createBodyBudget() {
  let used_bytes = 0;
  const sizeOf = (message: Message) =>
    (message.content.length + (message.sealed ? sealedSize(message.sealed) : 0)) * 2 + perMessage_bytes;
  return {
    keep(message: Message): Message | undefined {
      if (used_bytes + sizeOf(message) > bodies_bytes) return undefined;
      used_bytes += sizeOf(message);
      return message;
    },
    drop(message: Message | undefined): void {
      if (message) used_bytes -= sizeOf(message);
    },
  };
}
