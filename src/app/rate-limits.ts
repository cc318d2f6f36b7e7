import type { Clock, StartTimer } from "../base/clock.ts";
import type { Config } from "../config.ts";
import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { RateClass } from "../contract/operation.ts";
import { operations } from "../contract/operations.ts";
import { isOperationName, type OperationName } from "../contract/routes.ts";
import type { StreamOperation } from "../contract/stream.ts";
import { createRateLimiter, type RateLimit, type RateLimiter, type RateStanding } from "../core/limits/rate-limiter.ts";
import type { Call, Caller } from "./mailroom.ts";
import type { LimitedClass, RateReport } from "./rate-report.ts";

export type RateLimits = {
  /**
   * Counts a request against the limits of its caller's token, whether or not it will turn out to be a good one.
   *
   * @param name Of an operation, or whatever a caller took for one.
   * @returns Undefined where the request may be carried out; else its refusal, which rejects with `rate_limited` after a
   * while, or at once with `invalid_input` where it is too large to be allowed ever.
   */
  admit(name: string, input: unknown, call: Call): Promise<never> | undefined;
};

export type RateLimitsOptions = {
  readonly config: Config;
  readonly clock: Clock;
  readonly startTimer: StartTimer;
  readonly onLimited: (rate_class: LimitedClass) => void;
};

/** Tokens that are remembered; far more than a hive has, and some 10 MiB at most. */
const most_tokens = 20_000;
/** Longest time for which a refusal is held back. */
const most_hold_ms = 1_000;

const streamClasses: Readonly<Record<StreamOperation, RateClass>> = {
  subscribe: "read",
  follow: "read",
  // Both say how much pushed mail may be in hand, which is not limited.
  credit: "finish",
  unsubscribe: "finish",
};

/** One class of requests: what may be asked, and what may be refused without waiting. */
type Gate = {
  readonly limiter: RateLimiter;
  /** Refusals wait in a queue of their own, at the pace of the limit, so that a flood of them is as slow as the limit. */
  readonly refusals: RateLimiter;
  readonly report: (standing: RateStanding) => RateReport;
};

/**
 * The limits on what agents' tokens may ask, one for all transports. Callers who hold more than the scope `agent`, and those
 * without a token of their own, are not limited.
 */
export function createRateLimits(options: RateLimitsOptions): RateLimits {
  const { config, clock } = options;
  const gates: Readonly<Record<LimitedClass, Gate>> = {
    send: createGate("send", { per_second: config.sends_per_second, burst: config.sends_burst }),
    read: createGate("read", { per_second: config.reads_per_second, burst: config.reads_burst }),
    manage: createGate("manage", { per_second: config.changes_per_second, burst: config.changes_burst }),
  };
  return {
    admit(name, input, call) {
      const key = limitedKey(call.caller);
      const rate_class = key === undefined ? "finish" : classOf(name);
      if (key === undefined || rate_class === "finish") return undefined;
      const gate = gates[rate_class];
      const cost = costOf(name, input);
      if (cost > gate.limiter.limit.burst) return Promise.reject(tooLarge(name, cost, gate.limiter.limit));
      const standing = gate.limiter.take(key, cost, clock.elapsed());
      call.onRate?.(gate.report(standing));
      if (standing.allowed) return undefined;
      options.onLimited(rate_class);
      const { retry_after_ms } = standing;
      const refusal = refuse(rate_class, gate, { key, cost, retry_after_ms, ...options });
      call.onHeld?.(refusal);
      return refusal;
    },
  };
}

function createGate(rate_class: LimitedClass, limit: RateLimit): Gate {
  const { per_second, burst } = limit;
  const report = { rate_class, window_s: Math.ceil(burst / per_second) };
  return {
    limiter: createRateLimiter(limit, most_tokens),
    refusals: createRateLimiter({ per_second, burst: Math.max(1, (per_second * most_hold_ms) / 1_000) }, most_tokens),
    report: (standing) => ({ ...report, standing }),
  };
}

/** By what a caller's requests are counted; undefined where they are not. */
function limitedKey({ key_id, scopes }: Caller): string | undefined {
  return scopes.every((it) => it === "agent" || it === "open") ? key_id : undefined;
}

/** What nobody knows costs as much as a read. */
function classOf(name: string): RateClass {
  if (isOperationName(name)) return operations[name].rate_class;
  return Object.hasOwn(streamClasses, name) ? streamClasses[name as StreamOperation] : "read";
}

const batchOperations: ReadonlySet<string> = new Set<OperationName>(["sendMessages", "importMessages"]);

/** Before its input was checked: what does not look like a batch, or is no legal one, will be refused and costs one. */
function costOf(name: string, input: unknown): number {
  if (!batchOperations.has(name)) return 1;
  const { messages } = (input ?? {}) as { readonly messages?: unknown };
  return Array.isArray(messages) && messages.length <= limits.batch ? Math.max(1, messages.length) : 1;
}

function tooLarge(name: string, cost: number, { burst }: RateLimit): BusError {
  return new BusError(
    "invalid_input",
    `${name}: /messages: ${cost} messages are more than the ${burst} that this token may ever send at once (sends_burst); divide them`,
  );
}

type Refused = Pick<RateLimitsOptions, "clock" | "startTimer"> & {
  readonly key: string;
  readonly cost: number;
  readonly retry_after_ms: number;
};

function refuse(
  rate_class: LimitedClass,
  { limiter, refusals }: Gate,
  { key, cost, retry_after_ms, clock, startTimer }: Refused,
): Promise<never> {
  const waiting = refusals.take(key, Math.min(cost, refusals.limit.burst), clock.elapsed());
  const hold_ms = waiting.allowed ? waiting.reset_ms : most_hold_ms;
  const { per_second, burst } = limiter.limit;
  const message = `this token has made more ${spoken[rate_class]} than it may: ${per_second}/s, and ${burst} at once after a rest`;
  return new Promise((_, reject) => {
    startTimer(hold_ms, () => {
      const left_ms = Math.max(1, Math.ceil(retry_after_ms - hold_ms));
      reject(new BusError("rate_limited", `${message}; try again in ${left_ms} ms`, { retry_after_ms: left_ms }));
    });
  });
}

const spoken: Readonly<Record<LimitedClass, string>> = { send: "sends", read: "reads", manage: "changes" };
