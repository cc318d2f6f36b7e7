import { describe, it } from "node:test";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import type { StoreLife } from "./run.ts";
import { simulate } from "./simulate.ts";

/*
 * A seeded fleet on a bus whose clock, randomness, store and network are simulated. Every intent is compared with an
 * independent model of the delivery contract, and everything that left the bus is judged besides.
 *
 * HIVEPOST_SEED=17 replays one seed. HIVEPOST_SEEDS=5000 runs so many.
 */

const one = process.env["HIVEPOST_SEED"];
const seeds = (most: number): number[] => {
  if (one !== undefined) return [Number(one)];
  return Array.from({ length: Number(process.env["HIVEPOST_SEEDS"] ?? most) }, (_, index) => index + 1);
};

/** Memory outlives the process that uses it here, as a store of its own would: leases last, subscriptions do not. */
const inMemory = (): StoreLife => ({
  losesLeases: false,
  open: async (options) => openMemoryStore(options),
  reopen: async (killed) => killed,
  [Symbol.asyncDispose]: async () => {},
});

async function runSeed(seed: number, life: StoreLife, messages: number): Promise<void> {
  try {
    await using it = life;
    await simulate({ seed, life: it, messages });
  } catch (cause) {
    const way = `HIVEPOST_SEED=${seed} npx node --test test/simulation/fleet.test.ts`;
    throw new Error(`seed ${seed}: ${(cause as Error).message}; replay it with ${way}`, { cause });
  }
}

describe("a simulated fleet", () => {
  it("loses nothing, repeats nothing and keeps every rule of delivery, on the memory store", async () => {
    for (const seed of seeds(200)) await runSeed(seed, inMemory(), 30);
  });
});
