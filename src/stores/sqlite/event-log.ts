import type { EventLog } from "../../app/ports.ts";
import type { StoreContext } from "./context.ts";

/** Rings when events have got to the disk. */
export type Bell = {
  ring(last_event: number): void;
  /** Position of the latest event that is on the disk. */
  last(): number;
  onRing(callback: () => void): () => void;
};

export function createBell(): Bell {
  const listeners = new Set<() => void>();
  let last = 0;
  return {
    ring(last_event) {
      if (last_event === last) return;
      last = last_event;
      for (const listener of listeners) listener();
    },
    last: () => last,
    onRing(callback) {
      // A listener of its own, so that the same callback may listen twice and stop once.
      const listener = () => callback();
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function eventLog({ queue, reader }: StoreContext, bell: Bell): EventLog {
  return {
    async events(after, limit) {
      // What was done before this call is in the log, though nobody waited for it to be written.
      await queue.barrier();
      return reader.ask("events", { after, limit });
    },
    async head() {
      await queue.barrier();
      return bell.last();
    },
    onEvents: bell.onRing,
  };
}
