import type { Clock, StartTimer } from "../../src/base/clock.ts";
import { monday_ms } from "../support/fixtures.ts";

/** Time that passes only when told, with everything that waits for it: the bus's timers and the fleet's plans. */
export type SimulatedTime = {
  readonly clock: Clock;
  readonly startTimer: StartTimer;
  /** Plans something for so much later. */
  plan(delay_ms: number, action: () => void): void;
  /** Moves on to what is next, but at most by `most_ms`; then starts everything due within `together_ms`. */
  next(most_ms: number, together_ms: number): void;
  /** Lets so much time pass at once, as when the machine sleeps: whatever was planned comes late. */
  sleep(ms: number): void;
  /** Sets the wall clock forward or back; no time passes. */
  jumpWall(ms: number): void;
  /** Forgets the timers of a bus that is dead. */
  forgetTimers(): void;
};

type Waiting = { readonly due_ms: number; readonly order: number; readonly action: () => void };

export function createTime(): SimulatedTime {
  let elapsed_ms = 0;
  let wall_ahead_ms = monday_ms;
  let order = 0;
  let timers: Waiting[] = [];
  let plans: Waiting[] = [];

  const waiting = (delay_ms: number, action: () => void): Waiting => ({
    due_ms: elapsed_ms + Math.max(0, delay_ms),
    order: ++order,
    action,
  });
  const isEarlier = (a: Waiting, b: Waiting) => a.due_ms - b.due_ms || a.order - b.order;
  const takeDue = (from: Waiting[], until_ms: number) => from.filter((it) => it.due_ms <= until_ms).sort(isEarlier);

  return {
    clock: { now: () => wall_ahead_ms + elapsed_ms, elapsed: () => elapsed_ms },
    startTimer(delay_ms, callback) {
      const timer = waiting(delay_ms, callback);
      timers.push(timer);
      return () => {
        timers = timers.filter((it) => it !== timer);
      };
    },
    plan(delay_ms, action) {
      plans.push(waiting(delay_ms, action));
    },
    next(most_ms, together_ms) {
      const first_ms = Math.min(...plans.map((it) => it.due_ms), elapsed_ms + most_ms);
      elapsed_ms = Math.max(elapsed_ms, first_ms);
      const dueTimers = takeDue(timers, elapsed_ms);
      timers = timers.filter((it) => !dueTimers.includes(it));
      const duePlans = takeDue(plans, elapsed_ms + together_ms);
      plans = plans.filter((it) => !duePlans.includes(it));
      for (const { action } of [...dueTimers, ...duePlans]) action();
    },
    sleep(ms) {
      elapsed_ms += ms;
    },
    jumpWall(ms) {
      wall_ahead_ms += ms;
    },
    forgetTimers() {
      timers = [];
    },
  };
}
