import { invariant } from "../../src/base/invariant.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { RandomBytes } from "../../src/base/uuid.ts";

/** Everything that a simulation leaves to chance, all of it from one seed. */
export type Chance = {
  /** True with the given probability. */
  happens(probability: number): boolean;
  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number;
  pick<T>(from: readonly T[]): T;
  readonly randomBytes: RandomBytes;
};

export function createChance(seed: number): Chance {
  const random: Random = seededRandom(seed);
  const between = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  return {
    happens: (probability) => random() < probability,
    between,
    pick<T>(from: readonly T[]): T {
      const picked = from[between(0, from.length - 1)];
      invariant(picked !== undefined, "there is something to pick from");
      return picked;
    },
    randomBytes(bytes) {
      for (let i = 0; i < bytes.length; i++) bytes[i] = between(0, 255);
    },
  };
}
