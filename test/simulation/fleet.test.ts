import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StoreLife } from "./run.ts";
import { simulate } from "./simulate.ts";
import { memoryLife, sqliteLife } from "./store-lives.ts";

/*
 * A seeded fleet on a bus whose clock, randomness, store and network are simulated. Every intent is compared with an
 * independent model of the delivery contract, and everything that left the bus is judged besides.
 *
 * HIVEPOST_SEED=17 replays one seed. HIVEPOST_SEEDS=5000 runs so many.
 */

const one = process.env["HIVEPOST_SEED"];

function seeds(usual: number): number[] {
  if (one !== undefined) return [Number(one)];
  return Array.from({ length: Number(process.env["HIVEPOST_SEEDS"] ?? usual) }, (_, index) => index + 1);
}

/** Runs one seed after the other. @returns How intents came out, all kinds that were met. */
async function runSeeds(all: readonly number[], openLife: () => StoreLife): Promise<Set<string>> {
  const met = new Set<string>();
  for (const seed of all) {
    try {
      await using life = openLife();
      const outcome = await simulate({ seed, life, messages: 12 });
      for (const kind of outcome.met) met.add(kind);
    } catch (cause) {
      const way = `HIVEPOST_SEED=${seed} npx node --test test/simulation/fleet.test.ts`;
      throw new Error(`seed ${seed}: ${(cause as Error).message}; replay it with ${way}`, { cause });
    }
  }
  return met;
}

/** What a fleet must have gone through for its luck to mean anything. */
const adventures = [
  ...["accepted", "duplicate", "inbox_full", "conversation_closed", "reply_to_elsewhere"].map((it) => `publish ${it}`),
  ...["claim lease_limit", "acknowledge lease_lost", "reject done", "reject lease_lost", "extend done", "record done"],
  ...["sweep expired", "sweep deaths", "sweep woken", "release woken", "redrive message_ids", "retire death"],
  ...["prune some", "import true"],
];

describe("a simulated fleet", () => {
  it("loses nothing, repeats nothing and keeps every rule of delivery, on the memory store", async () => {
    const all = seeds(120);
    const met = await runSeeds(all, memoryLife);
    if (all.length >= 100)
      assert.deepEqual(
        adventures.filter((it) => !met.has(it)),
        [],
      );
  });

  it("does so on the SQLite store, whose server is killed at any moment", async () => {
    await runSeeds(seeds(6), sqliteLife);
  });
});
