import { parseArgs } from "node:util";
import { type MachineFacts, machineFacts, median, probeFsync } from "./machine.ts";

/** One measured figure over all rounds. */
export type Figure = {
  readonly what: string;
  readonly unit: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** What it must reach; the sign says on which side. */
  readonly wanted?: string;
  readonly met?: boolean;
};

/** The line of JSON that a bench prints. */
export type BenchResult = {
  readonly bench: string;
  readonly question: string;
  readonly machine: MachineFacts;
  readonly figures: readonly Figure[];
  /** Rounds thrown away because the disk's speed changed under them. */
  readonly rejected_rounds: number;
  readonly rounds: readonly unknown[];
};

export type Bench<Round> = {
  readonly name: string;
  readonly question: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly round: (setting: { readonly seconds: number }) => Promise<Round>;
  readonly figures: (rounds: readonly Round[]) => readonly Figure[];
};

/** A disk whose fsync became this many times slower or faster during a round makes the round worthless. */
const mostDrift = 3;

/** Runs a bench by its command line (`--rounds`, `--seconds`) and prints its result as one line of JSON. */
export async function runBench<Round>(bench: Bench<Round>): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: "string" }, seconds: { type: "string" } } });
  const wanted = Number(values.rounds ?? bench.rounds);
  const seconds = Number(values.seconds ?? bench.seconds);
  const machine = machineFacts();
  const rounds: Round[] = [];
  let rejected_rounds = 0;
  while (rounds.length < wanted && rejected_rounds <= wanted) {
    const before_ms = probeFsync();
    const round = await bench.round({ seconds });
    const after_ms = probeFsync();
    note(`${bench.name}: ${brief(bench.figures([round]))}`);
    if (Math.max(before_ms, after_ms) <= mostDrift * Math.min(before_ms, after_ms, machine.fsync_ms)) {
      rounds.push(round);
    } else {
      rejected_rounds += 1;
      note(`${bench.name}: that round does not count, fsync took ${before_ms} ms before and ${after_ms} ms after it`);
    }
  }
  const { name, question } = bench;
  const figures = rounds.length > 0 ? bench.figures(rounds) : [];
  const result: BenchResult = { bench: name, question, machine, figures, rejected_rounds, rounds };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (rounds.length < wanted) throw new Error(`only ${rounds.length} of ${wanted} rounds ran on a steady disk`);
}

export type Wanted = { readonly at_least: number } | { readonly at_most: number };

/** Makes figures of rounds: the median of what is picked from each, and whether that is as wanted. */
export function figuresOf<Round>(rounds: readonly Round[]) {
  return (what: string, unit: string, pick: (round: Round) => number | undefined, wanted?: Wanted): Figure => {
    const values = rounds.map((round) => pick(round) ?? Number.NaN);
    const middle = median(values);
    const plain = { what, unit, median: tidy(middle), low: tidy(Math.min(...values)), high: tidy(Math.max(...values)) };
    if (!wanted) return plain;
    return "at_least" in wanted
      ? { ...plain, wanted: `≥ ${wanted.at_least}`, met: middle >= wanted.at_least }
      : { ...plain, wanted: `≤ ${wanted.at_most}`, met: middle <= wanted.at_most };
  };
}

function tidy(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

function brief(figures: readonly Figure[]): string {
  return figures.map(({ what, median: value, unit }) => `${what} ${value} ${unit}`).join(", ");
}

/** Progress goes to standard error, so that standard output stays one line. */
function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
