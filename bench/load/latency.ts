import type { Account, Step } from "./account.ts";
import { type HistogramCounts, summary } from "./histogram.ts";

export type LatencyResult = Partial<Record<Step, ReturnType<typeof summary> & { readonly counts: HistogramCounts }>>;

/** Quantiles per step, and the counts they come from, for charts; the steps that never happened are left out. */
export function latencyOf({ latency }: Account): LatencyResult {
  const result: LatencyResult = {};
  for (const step of ["answered", "delivered", "acknowledged"] as const) {
    const histogram = latency[step];
    if (histogram.count > 0) result[step] = { ...summary(histogram), counts: histogram.counts() };
  }
  return result;
}
