import { chanceOf } from "../../base/random.ts";
import type { MessageType } from "../../contract/messages.ts";

/** How long to wait before another attempt, and how many to make. */
export type RetryPolicy = {
  readonly max_attempts: number;
  readonly base_delay_ms: number;
  readonly max_delay_ms: number;
};

/** The rules of delivery that an operator can set. Defaults stand in `config.ts`. */
export type DeliveryPolicy = {
  readonly retry: Readonly<Record<MessageType, RetryPolicy>>;
  /** After this long a ready delivery ranks one priority higher; undefined: never. */
  readonly aging_ms: number | undefined;
  /** Undelivered messages an inbox holds before it refuses new ones. */
  readonly inbox_depth: number;
  readonly open_leases_per_agent: number;
  readonly idempotency_ms: number;
  readonly loop: LoopPolicy;
};

/** When two agents answer each other without end. */
export type LoopPolicy = {
  /** A reply counts towards the chain if it comes this soon after the message it answers could be read. */
  readonly window_ms: number;
  /** Replies in a chain from which each is delayed. */
  readonly slow_after: number;
  /** Replies in a chain from which each is held for a person to release. */
  readonly hold_after: number;
  readonly base_delay_ms: number;
  readonly max_delay_ms: number;
};

/**
 * Delay before attempt `attempt + 1`: exponential backoff with full jitter. The jitter depends on the message and attempt
 * alone, so that a history replays exactly; across messages it is as good as random.
 *
 * @param attempt Attempts already made, from 1.
 * @returns Milliseconds in [0, min(max_delay_ms, base_delay_ms · 2^(attempt − 1))].
 * Source: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, message_id: string): number {
  const ceiling_ms = Math.min(policy.max_delay_ms, policy.base_delay_ms * 2 ** (attempt - 1));
  return Math.floor(chanceOf(message_id, attempt) * ceiling_ms);
}

export type AfterFailure = { readonly state: "again"; readonly delay_ms: number } | { readonly state: "dead" };

/** What becomes of a delivery whose lease ended without an acknowledgement. */
export function afterFailure(policy: RetryPolicy, attempt: number, message_id: string): AfterFailure {
  if (attempt >= policy.max_attempts) return { state: "dead" };
  return { state: "again", delay_ms: retryDelayMs(policy, attempt, message_id) };
}

/**
 * Replies in the chain that a reply continues: one more than the message it answers if it is quick, else it starts anew.
 *
 * @param answered_ms When the answered message could be read: when it was accepted, or later by `deliver_at` or a delay.
 */
export function replyDepth(policy: LoopPolicy, answered: { reply_depth: number; readable_ms: number }, now: number) {
  return now - answered.readable_ms <= policy.window_ms ? answered.reply_depth + 1 : 0;
}

export type LoopVerdict =
  | { readonly verdict: "pass" }
  | { readonly verdict: "slow"; readonly delay_ms: number; readonly reason: string }
  | { readonly verdict: "hold"; readonly reason: string };

/** Whether a reply that is the `reply_depth`-th quick one in its chain goes through, later, or not before a person says so. */
export function judgeLoop(policy: LoopPolicy, reply_depth: number): LoopVerdict {
  if (reply_depth >= policy.hold_after) {
    return { verdict: "hold", reason: `loop breaker: ${reply_depth} quick replies in a row; redrive to release` };
  }
  if (reply_depth >= policy.slow_after) {
    const delay_ms = Math.min(policy.max_delay_ms, policy.base_delay_ms * 2 ** (reply_depth - policy.slow_after));
    return { verdict: "slow", delay_ms, reason: `loop breaker: ${reply_depth} quick replies in a row; delayed` };
  }
  return { verdict: "pass" };
}
