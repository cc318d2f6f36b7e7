import { setTimeout as delay } from "node:timers/promises";
import { type LatencyResult, latencyOf } from "./latency.ts";
import { type Reconciliation, startTraffic, type TrafficOptions } from "./traffic.ts";
import { type Window, watchWindow } from "./window.ts";

export type ClosedLoopOptions = Omit<TrafficOptions, "onDone" | "capacity"> & {
  /** Messages under way at any moment: one that is done makes room for the next. */
  readonly in_flight: number;
  readonly warmup_s: number;
  readonly seconds: number;
  readonly server_pid: number;
};

export type LoopResult = Window & { readonly latency: LatencyResult; readonly books: Reconciliation };

/** Far above what two cores can do. */
const most_per_second = 60_000;

/** Keeps so many messages under way, as fast as the server takes them; every message is accounted for at the end. */
export async function runClosedLoop(options: ClosedLoopOptions): Promise<LoopResult> {
  let finished = 0;
  let stopped = false;
  using traffic = await startTraffic({
    ...options,
    capacity: Math.ceil(most_per_second * (options.seconds + options.warmup_s + 2)),
    onDone() {
      finished += 1;
      if (!stopped) traffic.send(performance.now());
    },
  });
  for (let i = 0; i < options.in_flight; i++) traffic.send(performance.now());
  await delay(options.warmup_s * 1_000);
  traffic.account.resetLatency();
  const window = await watchWindow(options.seconds, options.server_pid, () => finished);
  const latency = latencyOf(traffic.account);
  stopped = true;
  const books = await traffic.reconcile(30_000);
  return { ...window, latency, books };
}
