import type { RateClass } from "../contract/operation.ts";
import type { RateStanding } from "../core/limits/rate-limiter.ts";

/** The classes of requests that are limited. */
export type LimitedClass = Exclude<RateClass, "finish">;

/** How a token stands after a request; valid during the call that tells it. */
export type RateReport = {
  readonly rate_class: LimitedClass;
  /** In which a token that has taken its whole burst regains all of it. */
  readonly window_s: number;
  readonly standing: RateStanding;
};
