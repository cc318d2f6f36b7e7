/**
 * Where time comes from. Only `serve.ts`, the CLI and tests pick a clock.
 *
 * Two readings, because a wall clock can be set: what people see and agree on (`timestamp`, `deliver_at`, `expires_at`)
 * is wall time; what must last a certain while whatever happens to the wall clock (a lease, a back-off) is elapsed time.
 */
export type Clock = {
  /** Wall time: milliseconds since the Unix epoch. May jump either way. */
  now(): number;
  /** Milliseconds since some fixed moment. Never jumps and never runs backwards. */
  elapsed(): number;
};

export const systemClock: Clock = { now: () => Date.now(), elapsed: () => performance.now() };

/** Calls back once, after at least so long, unless the returned function is called first. Whoever owns the clock owns these. */
export type StartTimer = (delay_ms: number, callback: () => void) => () => void;

export const systemTimer: StartTimer = (delay_ms, callback) => {
  const timer = setTimeout(callback, delay_ms);
  return () => clearTimeout(timer);
};
