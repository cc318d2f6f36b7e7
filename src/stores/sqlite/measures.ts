import { statSync } from "node:fs";
import type { StoreStatus } from "../../app/ports.ts";
import { type Priority, priorities } from "../../contract/messages.ts";
import type { StoreContext } from "./context.ts";

/** What is measured while the store works, and handed out by `status`. */
export type Measures = {
  observe(name: ObservationName, value: number): void;
  set(name: "wal_size_bytes", value: number): void;
  statusOf(context: StoreContext, file: string): StoreStatus;
};

type ObservationName = "commit_batch_size" | "fsync_ms" | "accept_ms" | "checkpoint_ms";

/** Observations kept between two calls of `status`; beyond that, the first ones stand for the rest. */
const mostObservations = 10_000;

export function createMeasures(): Measures {
  let observations = new Map<ObservationName, number[]>();
  const gauges = new Map([["wal_size_bytes", 0]]);
  return {
    observe(name, value) {
      const known = observations.get(name);
      if (!known) observations.set(name, [value]);
      else if (known.length < mostObservations) known.push(value);
    },
    set(name, value) {
      gauges.set(name, value);
    },
    statusOf(context, file) {
      gauges.set("database_size_bytes", statSync(file).size);
      gauges.set("index_lag_messages", context.indexer.lag());
      gauges.set("waiting_operations", context.queue.waitingOperations());
      const observed = Object.fromEntries(observations);
      observations = new Map();
      return { kind: "sqlite", ...countAll(context), gauges: Object.fromEntries(gauges), observations: observed };
    },
  };
}

function countAll({
  engine,
  clock,
  counts,
}: StoreContext): Pick<StoreStatus, "depth" | "oldest_age_ms" | "leased" | "dead" | "counts"> {
  const depth: Record<Priority, number> = { urgent: 0, high: 0, normal: 0, low: 0 };
  let [leased, dead] = [0, 0];
  let oldest_ms = Number.POSITIVE_INFINITY;
  for (const inbox of engine.inboxes.values()) {
    for (const [rank, priority] of priorities.entries()) {
      depth[priority] += inbox.depth.slice(rank * 4, rank * 4 + 4).reduce((sum, it) => sum + it, 0);
    }
    leased += inbox.leased;
    dead += inbox.dead;
    for (const { state, accepted_ms } of inbox.open.values()) {
      if (state !== "dead") oldest_ms = Math.min(oldest_ms, accepted_ms);
    }
  }
  const oldest_age_ms = Number.isFinite(oldest_ms) ? Math.max(0, clock.now() - oldest_ms) : 0;
  return { depth, oldest_age_ms, leased, dead, counts: { ...counts } };
}
