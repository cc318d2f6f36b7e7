import { limits } from "../contract/limits.ts";
import type { Delivery, MessageId } from "../contract/messages.ts";
import type { Bus, Input } from "../contract/operations.ts";

/** What a worker tells the server about the messages it was given. */
export type Receipts = {
  acknowledge(delivery: Delivery): void;
  reject(delivery: Delivery, reason: string, delay_ms: number | undefined): void;
  /** Resolves when everything said so far was answered. */
  settled(): Promise<void>;
};

type Acknowledgement = Input<"acknowledgeMessages">["acknowledgements"][number];

/**
 * Acknowledgements of one turn travel in one request. Those that fail, or come after the lease was lost, need no repair
 * here: the message is delivered again, and the worker recognises it.
 */
export function createReceipts(
  bus: Pick<Bus, "acknowledgeMessages" | "rejectMessage">,
  onError: (error: unknown, message_id: MessageId) => void,
): Receipts {
  let due: Acknowledgement[] = [];
  const underWay = new Set<Promise<void>>();

  function watch(answer: Promise<unknown>, message_id: MessageId): void {
    const settled: Promise<void> = answer
      .then(() => undefined)
      .catch((error: unknown) => onError(error, message_id))
      .finally(() => underWay.delete(settled));
    underWay.add(settled);
  }

  function flush(): void {
    const all = due;
    due = [];
    for (let start = 0; start < all.length; start += limits.batch) {
      const acknowledgements = all.slice(start, start + limits.batch);
      const [first] = acknowledgements;
      if (first) watch(bus.acknowledgeMessages({ acknowledgements }), first.message_id);
    }
  }

  return {
    acknowledge({ message, lease_id }) {
      if (due.push({ message_id: message.id, lease_id }) === 1) queueMicrotask(flush);
    },
    reject({ message, lease_id }, reason, delay_ms) {
      const rejection = { message_id: message.id, lease_id, reason, ...(delay_ms !== undefined && { delay_ms }) };
      watch(bus.rejectMessage(rejection), message.id);
    },
    async settled() {
      flush();
      await Promise.all(underWay);
    },
  };
}
