import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createRateLimiter, type RateStanding } from "../../../src/core/limits/rate-limiter.ts";

const plenty = 1_000;

/** A token bucket that is refilled message by message, millisecond by millisecond, in whole thousandths of a message. */
function createSlowBucket(per_second: number, burst: number) {
  let thousandths = burst * 1_000;
  let at_ms = 0;
  return (cost: number, now_ms: number): { allowed: boolean; remaining: number } => {
    for (; at_ms < now_ms; at_ms++) thousandths = Math.min(burst * 1_000, thousandths + per_second);
    const allowed = cost * 1_000 <= thousandths;
    if (allowed) thousandths -= cost * 1_000;
    return { allowed, remaining: Math.floor(thousandths / 1_000) };
  };
}

const limits = fc.record({ per_second: fc.integer({ min: 1, max: 3_000 }), burst: fc.integer({ min: 1, max: 200 }) });
const steps = fc.array(
  fc.record({
    wait_ms: fc.oneof(fc.constant(0), fc.nat(20), fc.nat(3_000)),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { maxLength: 60 },
);

describe("a rate limiter", () => {
  it("decides as a token bucket that is simulated step by step", () => {
    fc.assert(
      fc.property(limits, steps, fc.nat(1_000_000_000), (limit, requests, start_ms) => {
        const limiter = createRateLimiter(limit, plenty);
        const slow = createSlowBucket(limit.per_second, limit.burst);
        let now_ms = 0;
        for (const { wait_ms, share } of requests) {
          now_ms += wait_ms;
          const cost = Math.floor(share * limit.burst);
          const { allowed, remaining } = limiter.take("key", cost, start_ms + now_ms);
          assert.deepEqual({ allowed, remaining }, slow(cost, now_ms));
        }
      }),
    );
  });

  it("never lets through more than the burst and what the time gives", () => {
    fc.assert(
      fc.property(limits, steps, (limit, requests) => {
        const limiter = createRateLimiter(limit, plenty);
        let now_ms = 0;
        let taken = 0;
        for (const { wait_ms, share } of requests) {
          now_ms += wait_ms;
          const cost = Math.ceil(share * limit.burst);
          if (limiter.take("key", cost, now_ms).allowed) taken += cost;
          assert.ok(taken <= limit.burst + (now_ms * limit.per_second) / 1_000 + 0.001);
        }
      }),
    );
  });

  it("lets a refused request through after retry_after_ms, and not before", () => {
    fc.assert(
      fc.property(limits, fc.array(fc.nat(50), { maxLength: 20 }), fc.nat(200), (limit, waits, size) => {
        const limiter = createRateLimiter(limit, plenty);
        const cost = 1 + (size % limit.burst);
        let now_ms = 0;
        for (const wait_ms of waits) {
          now_ms += wait_ms;
          while (limiter.take("key", cost, now_ms).allowed);
          const { retry_after_ms } = limiter.take("key", cost, now_ms);
          assert.ok(Number.isInteger(retry_after_ms) && retry_after_ms >= 1);
          if (retry_after_ms > 1) assert.equal(limiter.take("key", cost, now_ms + retry_after_ms - 1).allowed, false);
          now_ms += retry_after_ms;
          assert.equal(limiter.take("key", cost, now_ms).allowed, true);
        }
      }),
    );
  });

  it("gives exactly the burst while the clock stands still, at any moment", () => {
    fc.assert(
      fc.property(limits, fc.double({ min: 0, max: 1e12, noNaN: true }), (limit, now_ms) => {
        const limiter = createRateLimiter(limit, plenty);
        const allowed = Array.from({ length: limit.burst + 5 }, () => limiter.take("key", 1, now_ms).allowed);
        assert.deepEqual(allowed.lastIndexOf(true), limit.burst - 1);
        assert.deepEqual(allowed.indexOf(false), limit.burst);
      }),
    );
  });

  it("gives no more than the burst after a gap of years", () => {
    const limiter = createRateLimiter({ per_second: 10, burst: 3 }, plenty);
    for (const now_ms of [0, 1e11, 1e15]) {
      const allowed = [1, 1, 1, 1].map((cost) => limiter.take("key", cost, now_ms).allowed);
      assert.deepEqual(allowed, [true, true, true, false]);
    }
  });

  it("takes nothing for what it refuses", () => {
    const limiter = createRateLimiter({ per_second: 1, burst: 10 }, plenty);
    limiter.take("key", 6, 0);
    for (let i = 0; i < 100; i++) assert.equal(limiter.take("key", 5, 0).allowed, false);
    assert.equal(limiter.take("key", 4, 0).allowed, true);
  });

  it("keeps keys apart", () => {
    const limiter = createRateLimiter({ per_second: 1, burst: 1 }, plenty);
    assert.deepEqual(
      ["ada", "bob", "ada", "bob"].map((key) => limiter.take(key, 1, 0).allowed),
      [true, true, false, false],
    );
  });

  it("says what is left and when all of it is back", () => {
    const limiter = createRateLimiter({ per_second: 200, burst: 1_000 }, plenty);
    const seen: RateStanding[] = [600, 400, 1].map((cost) => ({ ...limiter.take("key", cost, 0) }));
    assert.deepEqual(seen, [
      { allowed: true, limit: 1_000, remaining: 400, reset_ms: 3_000, retry_after_ms: 0 },
      { allowed: true, limit: 1_000, remaining: 0, reset_ms: 5_000, retry_after_ms: 0 },
      { allowed: false, limit: 1_000, remaining: 0, reset_ms: 5_000, retry_after_ms: 5 },
    ]);
  });

  it("answers with one object, so that a flood allocates nothing", () => {
    const limiter = createRateLimiter({ per_second: 1, burst: 1 }, plenty);
    assert.equal(limiter.take("ada", 1, 0), limiter.take("bob", 1, 1));
  });
});

describe("what a rate limiter remembers", () => {
  it("makes no difference: a key counts as if all were remembered for ever", () => {
    const key = fc.constantFrom("a", "b", "c", "d");
    const request = fc.record({
      key,
      wait_ms: fc.oneof(fc.constant(0), fc.nat(400)),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(limits, fc.array(request, { maxLength: 80 }), (limit, requests) => {
        const limiter = createRateLimiter(limit, plenty);
        const slow = new Map<string, ReturnType<typeof createSlowBucket>>();
        let now_ms = 0;
        for (const { key: name, wait_ms, share } of requests) {
          now_ms += wait_ms;
          const cost = Math.floor(share * limit.burst);
          const bucket = slow.get(name) ?? createSlowBucket(limit.per_second, limit.burst);
          slow.set(name, bucket);
          assert.equal(limiter.take(name, cost, now_ms).allowed, bucket(cost, now_ms).allowed);
        }
      }),
    );
  });

  it("is no more than the keys of the last two generations", () => {
    const limiter = createRateLimiter({ per_second: 10, burst: 10 }, 1_000_000);
    for (let i = 0; i < 10_000; i++) {
      limiter.take(`key-${i}`, 1, i * 10);
      assert.ok(limiter.keys <= 200, `${limiter.keys} keys after ${i}`);
    }
  });

  it("is nothing but the present key after a long silence", () => {
    const limiter = createRateLimiter({ per_second: 10, burst: 10 }, 1_000_000);
    for (let i = 0; i < 100; i++) limiter.take(`key-${i}`, 1, 0);
    limiter.take("late", 1, 1_000_000);
    assert.equal(limiter.keys, 1);
  });

  it("never exceeds most_keys, and the keys that come steadily stay known", () => {
    const limiter = createRateLimiter({ per_second: 0.001, burst: 2 }, 100);
    limiter.take("steady", 2, 0);
    for (let i = 0; i < 10_000; i++) {
      limiter.take(`passing-${i}`, 1, 0);
      assert.equal(limiter.take("steady", 1, 0).allowed, false);
      assert.ok(limiter.keys <= 100);
    }
  });
});
