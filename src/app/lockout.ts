import type { Clock } from "../base/clock.ts";
import type { Config } from "../config.ts";
import { BusError } from "../contract/errors.ts";
import { addressBlock } from "../core/limits/address-block.ts";
import { createRateLimiter } from "../core/limits/rate-limiter.ts";

/** Counts attempts to get in with a wrong token or ticket. It never sees a right one, so it cannot keep one out. */
export type Lockout = {
  /**
   * Notes a failed attempt.
   *
   * @param address Where it came from; undefined where the connection is gone already.
   * @returns What to answer: `failure`, or `rate_limited` where too many attempts from that address have failed.
   */
  judge(failure: BusError, address: string | undefined): BusError;
};

/** Addresses that are remembered. Whoever commands more than these gains 20 guesses at 256 bits for each. */
const most_addresses = 50_000;

export function createLockout(options: {
  readonly config: Pick<Config, "failed_logins_per_minute">;
  readonly clock: Clock;
  readonly onLockedOut: () => void;
}): Lockout {
  const { config, clock, onLockedOut } = options;
  const burst = config.failed_logins_per_minute;
  const limiter = createRateLimiter({ per_second: burst / 60, burst }, most_addresses);
  return {
    judge(failure, address = "") {
      const { allowed, retry_after_ms } = limiter.take(addressBlock(address), 1, clock.elapsed());
      if (allowed) return failure;
      onLockedOut();
      const message = `too many wrong tokens or tickets came from your address; a valid one is let in all the same`;
      return new BusError("rate_limited", message, { retry_after_ms, cause: failure });
    },
  };
}
