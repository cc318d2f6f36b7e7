/** How much may come: `per_second` in the long run, and `burst` at once after a rest. Both above 0. */
export type RateLimit = { readonly per_second: number; readonly burst: number };

/** How a key stands after a request. Times in milliseconds. */
export type RateStanding = {
  readonly allowed: boolean;
  /** The burst: what a rested key may take at once. */
  readonly limit: number;
  /** What it may take at once now; whole. */
  readonly remaining: number;
  /** Until it may take `limit` at once again. */
  readonly reset_ms: number;
  /** Until the refused request would be allowed, should nothing else come; 0 where it was allowed. Whole. */
  readonly retry_after_ms: number;
};

export type RateLimiter = {
  readonly limit: RateLimit;
  /**
   * Takes `cost` from what a key may still take, or nothing where that is too much.
   *
   * @param cost At most the burst: more would never be allowed.
   * @param now_ms Elapsed time, which never runs backwards.
   * @returns One object for all calls, valid until the next one: nothing is allocated per request.
   */
  take(key: string, cost: number, now_ms: number): RateStanding;
  /** Keys that are remembered. */
  readonly keys: number;
};

/** What a key has taken and not yet regained, as of a moment. */
type Bucket = { level: number; at_ms: number };

/** What adding and draining fractions may be off by, in requests; far below one, and far above what doubles lose. */
const rounding = 1e-6;

/**
 * The generic cell rate algorithm, as a leaky bucket that is filled by requests and drains steadily: two numbers per key and no
 * timers. Of its two equivalent forms the one that keeps the level was chosen over the one that keeps a moment, because
 * counts stay exact however long the clock has run.
 *
 * A key that has drained is as good as a new one and is forgotten: buckets stand in two generations, and one that was not touched for
 * a whole generation, which lasts as long as draining a full bucket, goes with it.
 *
 * @param most_keys Keys remembered at most; where more come in a shorter time, the older half is forgotten early.
 *
 * Source: ITU-T I.371 (2004), Annex A: continuous-state leaky bucket algorithm.
 */
export function createRateLimiter(limit: RateLimit, most_keys: number): RateLimiter {
  const { per_second, burst } = limit;
  const per_ms = per_second / 1_000;
  const standing = { allowed: true, limit: burst, remaining: burst, reset_ms: 0, retry_after_ms: 0 };
  const find = createBuckets(burst / per_ms, Math.max(1, Math.floor(most_keys / 2)));

  return {
    limit,
    take(key, cost, now_ms) {
      const bucket = find.bucket(key, now_ms);
      bucket.level = Math.max(0, bucket.level - (now_ms - bucket.at_ms) * per_ms);
      bucket.at_ms = now_ms;
      const excess = bucket.level + cost - burst;
      const allowed = excess <= rounding;
      if (allowed) bucket.level += cost;
      standing.allowed = allowed;
      standing.remaining = Math.max(0, Math.floor(burst - bucket.level + rounding));
      standing.reset_ms = bucket.level / per_ms;
      standing.retry_after_ms = allowed ? 0 : Math.max(1, Math.ceil((excess - rounding) / per_ms));
      return standing;
    },
    get keys() {
      return find.count;
    },
  };
}

/** Buckets by key, in two generations. */
function createBuckets(generation_ms: number, most_per_generation: number) {
  let young = new Map<string, Bucket>();
  let old = new Map<string, Bucket>();
  let began_ms = Number.NEGATIVE_INFINITY;

  const rotate = (now_ms: number) => {
    // After two generations of silence there is nothing in either that has not drained.
    old = now_ms - began_ms >= 2 * generation_ms ? new Map() : young;
    young = new Map();
    began_ms = now_ms;
  };

  return {
    /** The key's bucket, new and empty where there is none. */
    bucket(key: string, now_ms: number): Bucket {
      if (now_ms - began_ms >= generation_ms) rotate(now_ms);
      const found = young.get(key);
      if (found) return found;
      if (young.size >= most_per_generation) rotate(now_ms);
      const bucket = old.get(key) ?? { level: 0, at_ms: now_ms };
      old.delete(key);
      young.set(key, bucket);
      return bucket;
    },
    get count() {
      return young.size + old.size;
    },
  };
}
