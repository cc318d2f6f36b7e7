import { createHeap } from "./heap.ts";
import type { OpenDelivery } from "./open-delivery.ts";

/** Deliveries by the time at which something falls due for them; ties by message, then by recipient. */
export type DueQueue = {
  add(delivery: OpenDelivery, due_ms: number): void;
  /** What falls due first. */
  first(): Due | undefined;
  takeFirst(): Due | undefined;
};

export type Due = { readonly due_ms: number; readonly delivery: OpenDelivery };

/**
 * Entries are not removed when a delivery moves on; they just stop being true, and are dropped when they come to the top
 * or when they are too many.
 *
 * @param isTrue Whether an entry still says what is.
 */
export function createDueQueue(isTrue: (due: Due) => boolean): DueQueue {
  const heap = createHeap<Due>(isSooner);
  let compactAt = 2_000;

  function clean(): Due | undefined {
    let top = heap.peek();
    while (top && !isTrue(top)) {
      heap.pop();
      top = heap.peek();
    }
    return top;
  }

  return {
    add(delivery, due_ms) {
      heap.push({ due_ms, delivery });
      // Nearly every lease ends by an acknowledgement long before its time: without this, 30 s of them would pile up.
      if (heap.size() > compactAt) {
        heap.keep(isTrue);
        compactAt = 2 * heap.size() + 2_000;
      }
    },
    first: clean,
    takeFirst: () => clean() && heap.pop(),
  };
}

function isSooner(a: Due, b: Due): boolean {
  const [one, other] = [a.delivery, b.delivery];
  return (a.due_ms - b.due_ms || one.position - other.position || one.recipient - other.recipient) < 0;
}
