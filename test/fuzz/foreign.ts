import assert from "node:assert/strict";
import { inspect } from "node:util";
import fc from "fast-check";
import { BusError, type ErrorCode } from "../../src/contract/errors.ts";

/*
 * What may come from outside: valid things, damaged in the ways in which things are damaged or forged, and noise.
 *
 * HIVEPOST_FUZZ=100 runs a hundred times as many cases, for a night; HIVEPOST_SEED repeats a run. A failure prints its seed and the
 * smallest case found.
 */

const times = Number(process.env["HIVEPOST_FUZZ"] ?? 1);
const seed = process.env["HIVEPOST_SEED"];

/** Parameters of `fc.assert`, for so many cases in a usual run. */
export function cases(usual: number): fc.Parameters<unknown> {
  return { numRuns: Math.ceil(usual * times), ...(seed !== undefined && { seed: Number(seed) }) };
}

/** One way to damage bytes; places and lengths are taken modulo what is there. */
type Damage =
  | { readonly how: "flip"; readonly bit: number }
  | { readonly how: "cut" | "cut start"; readonly at: number }
  | { readonly how: "double" | "remove"; readonly at: number; readonly length: number }
  | { readonly how: "splice"; readonly at: number; readonly other: number; readonly from: number }
  | { readonly how: "insert"; readonly at: number; readonly bytes: Uint8Array };

const place = fc.nat({ max: 0x7fff_ffff });
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ how: fc.constant("flip" as const), bit: place }),
  fc.record({ how: fc.constantFrom("cut" as const, "cut start" as const), at: place }),
  fc.record({ how: fc.constantFrom("double" as const, "remove" as const), at: place, length: fc.nat({ max: 40 }) }),
  fc.record({ how: fc.constant("splice" as const), at: place, other: place, from: place }),
  fc.record({ how: fc.constant("insert" as const), at: place, bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }) }),
);

/** Bytes from outside: one of these, damaged once or several times, or noise. */
export function foreignBytes(valid: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const damaged = fc
    .tuple(fc.nat({ max: valid.length - 1 }), fc.array(damage, { maxLength: 4 }))
    .map(([chosen, all]) =>
      all.reduce<Buffer>((bytes, it) => damagedBy(bytes, it, valid), Buffer.from(valid[chosen] ?? [])),
    );
  const noise: fc.Arbitrary<Buffer> = fc.uint8Array({ maxLength: 300 }).map((it) => Buffer.from(it));
  return fc.oneof({ weight: 5, arbitrary: damaged }, { weight: 1, arbitrary: noise });
}

/** Texts from outside: one of these, damaged, or noise; any characters, halves of surrogate pairs among them. */
export function foreignText(valid: readonly string[]): fc.Arbitrary<string> {
  const bytes = foreignBytes(valid.map((it) => Buffer.from(it)));
  return fc.oneof(
    { weight: 3, arbitrary: bytes.map((it) => it.toString()) },
    { weight: 2, arbitrary: bytes.map((it) => it.toString("latin1")) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...valid, "\ud800", "\0", "\n", " ")).map((it) => it.join("")) },
  );
}

/** JSON values from outside: one of these with a value somewhere in it replaced, doubled or taken out; or anything. */
export function foreignJson(valid: readonly unknown[]): fc.Arbitrary<unknown> {
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom("", 0, -1, 1e308, null, [], {}, "__proto__"),
  );
  const changed = fc
    .tuple(
      fc.constantFrom(...valid),
      fc.array(fc.tuple(place, fc.option(anything, { nil: undefined })), { maxLength: 3 }),
    )
    .map(([value, changes]) => changes.reduce((it, [at, by]) => replacedAt(it, at, by), structuredClone(value)));
  const rewritten = foreignText(valid.map((it) => JSON.stringify(it))).map(parsedOr);
  return fc.oneof(
    { weight: 4, arbitrary: changed },
    { weight: 2, arbitrary: rewritten },
    { weight: 1, arbitrary: anything },
  );
}

/**
 * Runs a parser, which gives a value or throws one of these errors of the contract, in which no secret shows.
 *
 * @returns What it gave; undefined where it threw.
 */
export async function givesOrRefuses<T>(
  work: () => T | Promise<T>,
  codes: readonly ErrorCode[],
  secrets: readonly string[] = [],
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    assert.ok(error instanceof BusError, inspect(error));
    assert.ok(codes.includes(error.code), inspect(error));
    showsNone(error, secrets);
    return undefined;
  }
}

/** Nothing that a log or an answer could show of an error holds one of the secrets. */
export function showsNone(error: unknown, secrets: readonly string[]): void {
  const shown = inspect(error, { depth: 9, showHidden: true, maxStringLength: null });
  for (const secret of secrets) assert.ok(!shown.includes(secret), `a secret shows in: ${shown}`);
}

/** An eightfold input may take eight times as long; a square would take 64 times. */
const growth = 8;
const most_times_longer = 28;
/** Below this the clock and the garbage collector say more than the parser. */
const shortest_ms = 3;

/**
 * Fails where the time grows faster than the input does.
 *
 * @param make The worst input of a length.
 * @param length Of the shorter one.
 */
export async function takesTimeInProportion(
  make: (length: number) => unknown,
  work: (input: never) => unknown,
  length = 4_000,
): Promise<void> {
  const [short, long] = [make(length), make(length * growth)];
  const [short_ms, long_ms] = [await leastTime(short, work), await leastTime(long, work)];
  const ratio = long_ms / Math.max(short_ms, shortest_ms / growth);
  assert.ok(
    long_ms < shortest_ms || ratio < most_times_longer,
    `${short_ms} ms, then ${long_ms} ms for 8 times as much`,
  );
}

async function leastTime(input: unknown, work: (input: never) => unknown): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 4; i++) {
    const start = performance.now();
    try {
      await work(input as never);
    } catch {
      // What it makes of it is asked elsewhere.
    }
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

function damagedBy(bytes: Buffer, it: Damage, valid: readonly Uint8Array[]): Buffer {
  if (bytes.length === 0) return bytes;
  switch (it.how) {
    case "flip": {
      const flipped = Buffer.from(bytes);
      const bit = it.bit % (bytes.length * 8);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return flipped;
    }
    case "cut":
      return bytes.subarray(0, it.at % bytes.length);
    case "cut start":
      return bytes.subarray(it.at % bytes.length);
    case "double": {
      const at = it.at % bytes.length;
      return Buffer.concat([bytes.subarray(0, at + it.length), bytes.subarray(at)]);
    }
    case "remove": {
      const at = it.at % bytes.length;
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + it.length)]);
    }
    case "splice": {
      const other = valid[it.other % valid.length] ?? bytes;
      return Buffer.concat([bytes.subarray(0, it.at % bytes.length), other.subarray(it.from % (other.length + 1))]);
    }
    case "insert": {
      const at = it.at % bytes.length;
      return Buffer.concat([bytes.subarray(0, at), it.bytes, bytes.subarray(at)]);
    }
  }
}

/** The value with one of the values in it, or the whole, replaced; taken out where there is nothing to put there. */
function replacedAt(value: unknown, at: number, by: unknown): unknown {
  if (typeof value !== "object" || value === null) return by;
  const keys = Object.keys(value);
  const key = keys[at % (keys.length + 1)];
  if (key === undefined) return by ?? value;
  const rest = Math.floor(at / (keys.length + 1));
  const field = (value as Record<string, unknown>)[key];
  const changed = typeof field === "object" && rest % 2 === 1 ? replacedAt(field, rest >> 1, by) : by;
  if (Array.isArray(value))
    return value.flatMap((it, i) => (String(i) !== key ? [it] : changed === undefined ? [it, it] : [changed]));
  return { ...value, [key]: changed };
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
