import { setTimeout as delay } from "node:timers/promises";
import type { LoopResult } from "./closed-loop.ts";
import { latencyOf } from "./latency.ts";
import { startTraffic, type Traffic, type TrafficOptions } from "./traffic.ts";
import { watchWindow } from "./window.ts";

export type OpenLoopOptions = Omit<TrafficOptions, "onDone" | "capacity"> & {
  readonly per_second: number;
  readonly warmup_s: number;
  readonly seconds: number;
  readonly server_pid: number;
};

/** No run lasts longer; what goes on beside the window may take longer than the window. */
const longest_s = 3_600;

/**
 * Sends by the clock, whatever the server does. A message that could not leave in time counts its latency from when it
 * should have left, so that a stall is not hidden by sending less while it lasts (coordinated omission).
 *
 * @param meanwhile Runs beside the measured window.
 */
export async function runOpenLoop<T>(
  options: OpenLoopOptions,
  meanwhile: (traffic: Traffic) => Promise<T>,
): Promise<LoopResult & { readonly meanwhile: T }> {
  let finished = 0;
  using traffic = await startTraffic({
    ...options,
    capacity: options.per_second * longest_s,
    onDone() {
      finished += 1;
    },
  });
  const stop = sendByTheClock(traffic, options.per_second);
  await delay(options.warmup_s * 1_000);
  traffic.account.resetLatency();
  const [window, answer] = await Promise.all([
    watchWindow(options.seconds, options.server_pid, () => finished),
    meanwhile(traffic),
  ]);
  const latency = latencyOf(traffic.account);
  stop();
  return { ...window, latency, books: await traffic.reconcile(30_000), meanwhile: answer };
}

/** Message `i` is due `i / per_second` seconds after the start. Returns the way to stop. */
function sendByTheClock(traffic: Traffic, per_second: number): () => void {
  const start = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - start) / 1_000) * per_second;
    while (sent < due) traffic.send(start + (sent++ * 1_000) / per_second);
  }, 1);
  return () => clearInterval(timer);
}
