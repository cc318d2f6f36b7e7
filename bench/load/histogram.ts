/** Buckets to each doubling: a value is known to within 1 part in 64, whatever its size. */
const bucketsPerDoubling = 64;
/** From 1 µs up to 2^36 µs (19 h). */
const doublings = 36;

/** Counts durations in log-linear buckets: constant memory, no allocation on the way, mergeable across processes. */
export type Histogram = {
  record(duration_ms: number): void;
  readonly count: number;
  readonly max_ms: number;
  /** Upper edge of the bucket in which the quantile lies; 0 where nothing was recorded. */
  quantile(q: number): number;
  mean(): number;
  add(other: HistogramCounts): void;
  /** What another process needs to merge it, and what a chart needs to draw it. */
  counts(): HistogramCounts;
};

/** Pairs of bucket index and count, the empty ones left out. */
export type HistogramCounts = readonly (readonly [bucket: number, count: number])[];

export function createHistogram(): Histogram {
  const counts = new Float64Array(bucketsPerDoubling * doublings);
  let count = 0;
  let max_ms = 0;
  const tally = (bucket: number, times: number) => {
    counts[bucket] = (counts[bucket] ?? 0) + times;
    count += times;
  };
  return {
    record(duration_ms) {
      if (duration_ms > max_ms) max_ms = duration_ms;
      tally(bucketOf(duration_ms), 1);
    },
    get count() {
      return count;
    },
    get max_ms() {
      return max_ms;
    },
    quantile(q) {
      const wanted = Math.max(1, Math.ceil(q * count));
      let passed = 0;
      for (let bucket = 0; count > 0 && bucket < counts.length; bucket++) {
        passed += counts[bucket] ?? 0;
        if (passed >= wanted) return upperEdgeMs(bucket);
      }
      return 0;
    },
    mean() {
      const sum = counts.reduce((total, held, bucket) => total + held * upperEdgeMs(bucket), 0);
      return count === 0 ? 0 : sum / count;
    },
    add(other) {
      for (const [bucket, times] of other) {
        tally(bucket, times);
        max_ms = Math.max(max_ms, upperEdgeMs(bucket));
      }
    },
    counts: () => [...counts.entries()].filter(([, held]) => held > 0),
  };
}

/** The quantiles that results show, in milliseconds to three places. */
export function summary(histogram: Histogram) {
  const at = (q: number) => round(histogram.quantile(q));
  return { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), p999_ms: at(0.999), max_ms: round(histogram.max_ms) };
}

/** Longest duration that falls into a bucket. */
export function upperEdgeMs(bucket: number): number {
  const doubling = Math.floor(bucket / bucketsPerDoubling);
  const step = (bucket % bucketsPerDoubling) + 1;
  return (2 ** doubling * (1 + step / bucketsPerDoubling)) / 1_000;
}

function bucketOf(duration_ms: number): number {
  const us = Math.max(1, duration_ms * 1_000);
  const doubling = Math.min(doublings - 1, Math.floor(Math.log2(us)));
  const step = Math.floor((us / 2 ** doubling - 1) * bucketsPerDoubling);
  return doubling * bucketsPerDoubling + Math.min(bucketsPerDoubling - 1, Math.max(0, step));
}

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
