import { effectiveRank } from "../../core/messaging/order.ts";
import { createDueQueue } from "./due-queue.ts";
import { createHeap, type Heap } from "./heap.ts";
import type { InboxState, OpenDelivery, SteadyClock } from "./open-delivery.ts";

/** Which ready deliveries a claim may have. */
export type Wanted = { readonly limit: number; readonly max_rank: number; readonly max_moment: number };

/** The ready deliveries of every inbox in the order in which they are handed out. */
export type ReadyQueues = {
  /** One that has just become ready. */
  add(delivery: OpenDelivery): void;
  /** Takes the best that may be had; they are no longer in the queue, and the caller's to lease. */
  take(inbox: InboxState, wanted: Wanted): OpenDelivery[];
};

const moments = 4;

/**
 * A heap for each effective rank and moment, since a claim may leave moments out; what a claim takes is always on top of
 * one. With `aging_ms`, a delivery that has waited long enough is entered once more under the better rank; the old entry
 * is no longer true and is dropped when it comes to the top.
 */
export function createReadyQueues(
  clock: SteadyClock,
  aging_ms: number | undefined,
  inboxes: ReadonlyMap<unknown, InboxState>,
): ReadyQueues {
  const promotions = createDueQueue(({ delivery: it }) => it.state === "ready" && it.ready_rank === it.rank);
  /** The latest time by which anything was ranked. */
  let latest_ms = clock.now();

  function add(delivery: OpenDelivery): void {
    const now = clock.now();
    latest_ms = Math.max(latest_ms, now);
    const waited_ms = Math.max(0, now - delivery.readable_ms);
    push(delivery, effectiveRank(delivery.rank, waited_ms, aging_ms));
    const canRise = aging_ms !== undefined && delivery.rank > 0 && delivery.ready_rank === delivery.rank;
    if (canRise) promotions.add(delivery, delivery.readable_ms);
  }

  /** Lets those that have waited long enough rank higher from now on. */
  function promote(): void {
    if (aging_ms === undefined) return;
    const now = clock.now();
    // Set back, the clock says that some have not waited so long after all.
    if (now < latest_ms) rankAnew();
    latest_ms = now;
    for (let top = promotions.first(); top && now - top.due_ms > aging_ms; top = promotions.first()) {
      promotions.takeFirst();
      push(top.delivery, top.delivery.rank - 1);
    }
  }

  function rankAnew(): void {
    for (const { ready, open } of inboxes.values()) {
      ready.length = 0;
      for (const it of open.values()) if (it.state === "ready") add(it);
    }
  }

  return {
    add,
    take(inbox, wanted) {
      promote();
      return takeBest(inbox.ready, wanted, clock.now());
    },
  };
}

function push(delivery: OpenDelivery, rank: number): void {
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

function takeBest(ready: InboxState["ready"], wanted: Wanted, now: number): OpenDelivery[] {
  const taken: OpenDelivery[] = [];
  const expired: OpenDelivery[] = [];
  for (let rank = 0; rank <= wanted.max_rank; rank++) {
    while (taken.length < wanted.limit) {
      const delivery = oldestHeap(ready, rank, wanted.max_moment)?.pop();
      if (!delivery) break;
      (delivery.expires_ms <= now ? expired : taken).push(delivery);
    }
  }
  // Not swept yet: nobody gets them, and the sweep must still find them as they were.
  for (const it of expired) ready[it.ready_rank * moments + it.moment]?.push(it);
  return taken;
}

/** Of the heaps of a rank, the one whose top was accepted first. */
function oldestHeap(ready: InboxState["ready"], rank: number, max_moment: number): Heap<OpenDelivery> | undefined {
  let oldest: Heap<OpenDelivery> | undefined;
  let position = Number.POSITIVE_INFINITY;
  for (const heap of ready.slice(rank * moments, rank * moments + max_moment + 1)) {
    const top = heap && cleanTop(heap, rank);
    if (!top || top.position > position) continue;
    oldest = heap;
    position = top.position;
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
