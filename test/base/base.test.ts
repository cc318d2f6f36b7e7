import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { defined } from "../../src/base/defined.ts";
import { invariant } from "../../src/base/invariant.ts";
import { parseJson, sameJson } from "../../src/base/json.ts";
import { chanceOf, seededRandom } from "../../src/base/random.ts";
import { describeDuration, parseTimestamp, toTimestamp } from "../../src/base/time.ts";
import { createUuidV7, uuidV7Time } from "../../src/base/uuid.ts";

describe("a UUIDv7 maker", () => {
  const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  const times = fc.array(fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_050 }), { minLength: 1 });

  it("makes ids that sort in the order they were made, whatever the clock does", () => {
    fc.assert(
      fc.property(times, fc.nat(6_000), (readings, burst) => {
        let reading = 0;
        const make = createUuidV7(
          () => readings[reading % readings.length] ?? 0,
          (bytes) => bytes.fill(0x5a),
        );
        const made: string[] = [];
        for (; reading < readings.length; reading++) made.push(make());
        for (let i = 0; i < burst; i++) made.push(make());
        assert.deepEqual(made, [...made].sort());
        assert.equal(new Set(made).size, made.length);
      }),
      { numRuns: 20 },
    );
  });

  it("writes version, variant and the time it was made", () => {
    const make = createUuidV7(
      () => 1_767_603_600_123,
      (bytes) => crypto.getRandomValues(bytes),
    );
    const id = make();
    assert.match(id, pattern);
    assert.equal(uuidV7Time(id), 1_767_603_600_123);
  });
});

describe("two JSON values", () => {
  it("say the same as their copies, and as themselves with the keys the other way round", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const copy = parseJson(JSON.stringify(value));
        assert.ok(sameJson(copy, reversed(copy)));
      }),
    );
  });

  it("differ where a value, a length, a kind or a key differs", () => {
    const pairs: [unknown, unknown][] = [
      [{ a: 1 }, { a: 2 }],
      [[1], [1, 2]],
      [[], {}],
      [{ a: 1 }, { b: 1 }],
      [null, {}],
      ["1", 1],
    ];
    for (const [a, b] of pairs) assert.equal(sameJson(a, b), false, JSON.stringify([a, b]));
  });

  function reversed(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(reversed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, it]) => [key, reversed(it)]),
    );
  }
});

describe("chance", () => {
  it("lies in [0, 1) and repeats for the same text and salt", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), (text, salt) => {
        const chance = chanceOf(text, salt);
        assert.ok(chance >= 0 && chance < 1);
        assert.equal(chanceOf(text, salt), chance);
      }),
    );
  });

  it("spreads evenly over ids that differ little", () => {
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 10_000; i++) {
      const bucket = Math.floor(chanceOf(`message-${i}`, 1) * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    for (const count of buckets) assert.ok(count > 800 && count < 1_200, `${buckets}`);
  });

  it("repeats from a seed", () => {
    const [one, other] = [seededRandom(7), seededRandom(7)];
    for (let i = 0; i < 100; i++) assert.equal(one(), other());
    assert.notEqual(seededRandom(8)(), seededRandom(7)());
  });
});

describe("time", () => {
  it("survives being written and read", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000_000 }), (ms) => {
        assert.equal(parseTimestamp(toTimestamp(ms)), ms);
      }),
    );
  });

  it("is undefined where a text names no moment", () => {
    assert.equal(parseTimestamp("2026-13-01T00:00:00Z"), undefined);
    assert.equal(parseTimestamp("2026-02-29T00:00:00Z"), undefined);
    assert.equal(parseTimestamp("2026-04-31t10:00:00+02:00"), undefined);
    assert.equal(parseTimestamp("2024-02-29T23:30:00-05:00"), Date.UTC(2024, 2, 1, 4, 30));
  });

  it("is told to people in one rounded unit", () => {
    const told = [850, 12_300, 180_000, 18_000_000, 259_200_000].map(describeDuration);
    assert.deepEqual(told, ["850 ms", "12 s", "3 min", "5 h", "3 d"]);
  });
});

it("defined() keeps every field that has a value, null and false included", () => {
  assert.deepEqual(defined({ a: 1, b: undefined, c: null, d: false }), { a: 1, c: null, d: false });
});

it("an invariant that does not hold is told by its message", () => {
  assert.throws(() => invariant(false, "a lease belongs to a delivery"), /a lease belongs to a delivery/);
});
