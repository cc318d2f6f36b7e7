import { createHistogram, type Histogram } from "./histogram.ts";

/** What happens to a message, as far as its sender and its recipient can see. */
export type Step = "answered" | "delivered" | "acknowledged";

const flags: Readonly<Record<Step, number>> = { answered: 1, delivered: 2, acknowledged: 4 };

/** One line for every message sent: when it was due, and which steps it has gone through. */
export type Account = {
  /** Numbers messages from 0. @param due_ms When it should leave: what its latency is measured from. */
  open(due_ms: number): number;
  /** Notes a step and its latency. False where the message had gone through it before. */
  note(n: number, step: Step): boolean;
  has(n: number, step: Step): boolean;
  readonly opened: number;
  /** Messages that went through a step. */
  countOf(step: Step): number;
  readonly latency: Readonly<Record<Step, Histogram>>;
  /** Forgets the latencies so far, as after warming up. */
  resetLatency(): void;
};

/** @param capacity Most messages it can hold; memory is used only as they come. */
export function createAccount(capacity: number): Account {
  const due = new Float64Array(capacity);
  const steps = new Uint8Array(capacity);
  const counts: Record<Step, number> = { answered: 0, delivered: 0, acknowledged: 0 };
  let latency = freshLatency();
  let opened = 0;
  const has = (n: number, step: Step) => ((steps[n] ?? 0) & flags[step]) !== 0;
  return {
    open(due_ms) {
      if (opened === capacity) throw new Error(`this run was told to send at most ${capacity} messages`);
      due[opened] = due_ms;
      return opened++;
    },
    note(n, step) {
      if (n >= opened) throw new Error(`message ${n} was ${step}, but only ${opened} were sent`);
      if (has(n, step)) return false;
      steps[n] = (steps[n] ?? 0) | flags[step];
      counts[step] += 1;
      latency[step].record(performance.now() - (due[n] ?? 0));
      return true;
    },
    has,
    get opened() {
      return opened;
    },
    countOf: (step) => counts[step],
    get latency() {
      return latency;
    },
    resetLatency() {
      latency = freshLatency();
    },
  };
}

function freshLatency(): Record<Step, Histogram> {
  return { answered: createHistogram(), delivered: createHistogram(), acknowledged: createHistogram() };
}
