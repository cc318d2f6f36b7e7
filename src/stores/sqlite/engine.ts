import type { AgentId, LeaseId, Message } from "../../contract/messages.ts";
import { effectiveRank } from "../../core/messaging/order.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";
import { createDueQueue, type Due, type DueQueue } from "./due-queue.ts";
import { createHeap, type Heap } from "./heap.ts";
import {
  type InboxState,
  type OpenDelivery,
  type OpenState,
  openStateIndex,
  type SteadyClock,
} from "./open-delivery.ts";

/*
 * Every delivery that is not over, in memory, ordered for handing out. The disk is behind it: what must survive a crash is
 * written by the commit queue, before (publish, acknowledge, reject, redrive, retire) or after (claim, end of a lease).
 * Claims are decided here alone and never wait for the disk.
 *
 * Heaps are cleaned when looked at: an entry that no longer says the truth is dropped when it comes to the top.
 */
export type Engine = {
  readonly inboxes: ReadonlyMap<AgentId, InboxState>;
  inbox(agent_id: AgentId): InboxState;
  /** A new open delivery, or one that is open again. */
  enter(delivery: OpenDelivery): void;
  /** Moves an open delivery into another open state, or renews the one it has; its fields are set already. */
  move(delivery: OpenDelivery, state: OpenState): void;
  /** Counts it out; it stays findable until `forget`. */
  end(delivery: OpenDelivery, state: "acknowledged" | "dead"): void;
  forget(delivery: OpenDelivery): void;
  /** What was to happen to it did not: it stands as before. */
  restore(delivery: OpenDelivery): void;
  /** Takes up to `limit` of the best that may be had; they are the caller's to lease. */
  take(inbox: InboxState, wanted: { limit: number; max_rank: number; max_moment: number }): OpenDelivery[];
  leased(lease_id: LeaseId): OpenDelivery | undefined;
  readonly due: DueQueues;
  /** Leased, ready, scheduled and held. */
  openCount(): number;
  /** Room for another body among those that are kept. */
  keepBody(message: Message): Message | undefined;
};

/** What waits for time to pass. Each by its own clock: nothing may fall due because somebody set the wall clock but wall times. */
export type DueQueues = {
  /** Leases, by elapsed time. */
  readonly leases: DueQueue;
  /** Scheduled ones that wait for a wall time, and those that wait for a delay to pass, by elapsed time. */
  readonly notBefore: DueQueue;
  readonly delays: DueQueue;
  /** Scheduled ones that have been found due, by the time they became so. */
  readonly available: DueQueue;
  /** What is open and not leased, by wall time. */
  readonly expiring: DueQueue;
  /** Ready ones that the ledger does not yet say rank higher, by the time they could be had. */
  readonly aging: DueQueue;
};

const moments = 4;
/** Bodies of open deliveries kept in memory, as UTF-16 at worst; the others are read again when they are handed out. */
const bodies_bytes = 64 * 1_024 * 1_024;
const perMessage_bytes = 1_024;

export function createEngine(clock: SteadyClock, policy: DeliveryPolicy): Engine {
  const inboxes = new Map<AgentId, InboxState>();
  const leases = new Map<LeaseId, OpenDelivery>();
  const due = createDueQueues();
  const promotion = createDueQueue(({ delivery: it }) => it.state === "ready" && it.ready_rank === it.rank);
  const { aging_ms } = policy;
  let open = 0;
  let bodyBytes = 0;
  let lastNow_ms = clock.now();

  function count(delivery: OpenDelivery, change: 1 | -1): void {
    const index = openStateIndex(delivery.state);
    if (index < 0) return;
    const { inbox, rank } = delivery;
    const at = rank * 4 + index;
    inbox.depth[at] = (inbox.depth[at] ?? 0) + change;
    if (delivery.state === "leased") inbox.leased += change;
    open += change;
  }

  /** Puts it where its state makes it findable. */
  function place(delivery: OpenDelivery): void {
    if (delivery.state === "leased") {
      if (delivery.lease_id) leases.set(delivery.lease_id, delivery);
      return due.leases.add(delivery, delivery.lease_ends_ms);
    }
    if (delivery.state === "scheduled") placeScheduled(delivery);
    if (delivery.state === "ready") placeReady(delivery);
    if (delivery.expires_ms !== Number.POSITIVE_INFINITY) due.expiring.add(delivery, delivery.expires_ms);
  }

  /** Under whichever it has to wait for longer as things stand; the sweep looks at both. */
  function placeScheduled(delivery: OpenDelivery): void {
    const { not_before_ms, delay_ends_ms } = delivery;
    const waitsForWall = not_before_ms - clock.now() >= delay_ends_ms - clock.elapsed();
    if (waitsForWall) due.notBefore.add(delivery, not_before_ms);
    else due.delays.add(delivery, delay_ends_ms);
  }

  function placeReady(delivery: OpenDelivery): void {
    const waited_ms = Math.max(0, clock.now() - delivery.readable_ms);
    pushReady(delivery, effectiveRank(delivery.rank, waited_ms, aging_ms));
    if (aging_ms === undefined || delivery.rank === 0) return;
    if (!delivery.aged) due.aging.add(delivery, delivery.readable_ms);
    if (delivery.ready_rank === delivery.rank) promotion.add(delivery, delivery.readable_ms);
  }

  function pushReady(delivery: OpenDelivery, rank: number): void {
    delivery.ready_rank = rank;
    const { ready } = delivery.inbox;
    const index = rank * moments + delivery.moment;
    let heap = ready[index];
    if (!heap) {
      heap = createHeap<OpenDelivery>((a, b) => a.position < b.position);
      ready[index] = heap;
    }
    heap.push(delivery);
  }

  /** Lets those that have waited long enough rank higher from now on. */
  function promote(): void {
    if (aging_ms === undefined) return;
    const now = clock.now();
    // Set back, the clock says that some have not waited so long after all.
    if (now < lastNow_ms) rankAnew();
    lastNow_ms = now;
    for (let top = promotion.first(); top && now - top.due_ms > aging_ms; top = promotion.first()) {
      promotion.takeFirst();
      pushReady(top.delivery, top.delivery.rank - 1);
    }
  }

  function rankAnew(): void {
    for (const { ready, open: deliveries } of inboxes.values()) {
      ready.length = 0;
      for (const it of deliveries.values()) if (it.state === "ready") placeReady(it);
    }
  }

  return {
    inboxes,
    due,
    leased: (lease_id) => leases.get(lease_id),
    openCount: () => open,

    inbox(agent_id) {
      const known = inboxes.get(agent_id);
      if (known) return known;
      const inbox = { agent_id, open: new Map(), ready: [], depth: Array<number>(16).fill(0), leased: 0, dead: 0 };
      inboxes.set(agent_id, inbox);
      return inbox;
    },

    enter(delivery) {
      delivery.inbox.open.set(delivery.position, delivery);
      count(delivery, 1);
      place(delivery);
    },

    move(delivery, state) {
      count(delivery, -1);
      if (delivery.lease_id && state !== "leased") leases.delete(delivery.lease_id);
      delivery.state = state;
      count(delivery, 1);
      place(delivery);
    },

    end(delivery, state) {
      count(delivery, -1);
      if (delivery.lease_id) leases.delete(delivery.lease_id);
      delivery.state = state;
    },

    forget(delivery) {
      delivery.inbox.open.delete(delivery.position);
      if (delivery.message) bodyBytes -= bodySize(delivery.message);
      delivery.message = undefined;
    },

    restore(delivery) {
      delivery.settling = false;
      place(delivery);
    },

    take(inbox, wanted) {
      promote();
      return takeReady(inbox, wanted, clock.now());
    },

    keepBody(message) {
      const size = bodySize(message);
      if (bodyBytes + size > bodies_bytes) return undefined;
      bodyBytes += size;
      return message;
    },
  };
}

function bodySize(message: Message): number {
  return message.content.length * 2 + perMessage_bytes;
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

function takeReady(
  { ready }: InboxState,
  { limit, max_rank, max_moment }: { limit: number; max_rank: number; max_moment: number },
  now: number,
): OpenDelivery[] {
  const taken: OpenDelivery[] = [];
  const passedOver: [heap: Heap<OpenDelivery>, delivery: OpenDelivery][] = [];
  for (let rank = 0; rank <= max_rank; rank++) {
    while (taken.length < limit) {
      const heap = oldestHeap(ready, rank, max_moment);
      const delivery = heap?.pop();
      if (!heap || !delivery) break;
      // Expired, and not swept yet: nobody gets it, and the sweep must still find it as it was.
      if (delivery.expires_ms <= now) passedOver.push([heap, delivery]);
      else taken.push(delivery);
    }
  }
  for (const [heap, delivery] of passedOver) heap.push(delivery);
  return taken;
}

/** Of the heaps of a rank, the one whose top was accepted first. */
function oldestHeap(ready: InboxState["ready"], rank: number, max_moment: number): Heap<OpenDelivery> | undefined {
  let oldest: Heap<OpenDelivery> | undefined;
  let oldestPosition = Number.POSITIVE_INFINITY;
  for (let moment = 0; moment <= max_moment; moment++) {
    const heap = ready[rank * moments + moment];
    if (!heap) continue;
    const top = cleanTop(heap, rank);
    if (top && top.position < oldestPosition) {
      oldest = heap;
      oldestPosition = top.position;
    }
  }
  return oldest;
}

/** Drops what was ready here once and is not any more. */
function cleanTop(heap: Heap<OpenDelivery>, rank: number): OpenDelivery | undefined {
  let top = heap.peek();
  while (top && (top.state !== "ready" || top.ready_rank !== rank)) {
    heap.pop();
    top = heap.peek();
  }
  return top;
}
