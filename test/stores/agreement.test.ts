import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Store } from "../../src/app/ports.ts";
import { silentLog } from "../../src/base/log.ts";
import { eventNames } from "../../src/contract/events.ts";
import type { DeliveryPolicy } from "../../src/core/messaging/policy.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { clockAt, temporaryFolder, testPolicy } from "../support/fixtures.ts";
import { openUnlockedStore } from "../support/unlocked.ts";
import type { ValueOf } from "./arbitraries.ts";
import { histories, type Step } from "./histories.ts";
import { readAll, type Side, sideOf } from "./side.ts";

/*
 * More of it: `AGREEMENT_RUNS=20000 AGREEMENT_STEPS=120 node --test test/stores/agreement.test.ts`. A failure prints the
 * seed and path; `AGREEMENT_SEED=…` and `AGREEMENT_PATH=…` play it again. By default few and long ones: opening a store on
 * disk, with its threads, costs as much as some hundred calls.
 */
const { AGREEMENT_RUNS, AGREEMENT_STEPS, AGREEMENT_SEED, AGREEMENT_PATH } = process.env;

describe("the memory and the SQLite store, given the same history of calls", () => {
  it("answer every call alike", async () => {
    const property = fc.asyncProperty(policies, histories(Number(AGREEMENT_STEPS ?? 200)), agree);
    await fc.assert(property, {
      numRuns: Number(AGREEMENT_RUNS ?? 30),
      // A long search for the shortest history that fails is for whoever asked for more runs.
      ...(AGREEMENT_RUNS === undefined && { interruptAfterTimeLimit: 120_000 }),
      ...(AGREEMENT_SEED && { seed: Number(AGREEMENT_SEED) }),
      ...(AGREEMENT_PATH && { path: AGREEMENT_PATH }),
    });
  });

  it("meet everything that can happen: else their agreement would say little", async () => {
    const met = new Set<unknown>();
    const history = fc.record({ policy: policies, steps: histories(100) });
    for (const { policy, steps } of fc.sample(history, { seed: 1, numRuns: 100 })) {
      const clock = clockAt();
      const side = sideOf(openMemoryStore({ clock, policy: toPolicy(policy) }), clock);
      for (const step of steps) {
        if ("move" in step) step.move(clock);
        else noteKinds(await step.play(side), met);
      }
      noteKinds(await side.store.events.events(0, 10_000), met);
    }
    assert.deepEqual(
      [...outcomes, ...eventNames].filter((it) => !met.has(it)),
      [],
    );
  });
});

const outcomes = [
  ...["accepted", "duplicate", "inbox_full", "conversation_not_found", "conversation_closed", "reply_to_not_found"],
  ...[
    "reply_to_elsewhere",
    "id_expired",
    "sealed_only",
    "claimed",
    "lease_limit",
    "acknowledged",
    "lease_lost",
    "message_not_found",
  ],
  ...["done", "registered", "alias_taken"],
];

/** Notes every text that stands in an answer, so that one can ask whether a word ever did. */
function noteKinds(answer: unknown, met: Set<unknown>): void {
  if (typeof answer === "string") met.add(answer);
  else if (typeof answer === "object" && answer !== null) for (const it of Object.values(answer)) noteKinds(it, met);
}

/** Tight limits, so that short histories meet them. */
const policies = fc.record({
  aging_ms: fc.constantFrom(undefined, 2_000),
  inbox_depth: fc.constantFrom(4, 100),
  open_leases_per_agent: fc.constantFrom(2, 100),
  idempotency_ms: fc.constant(5_000),
  max_attempts: fc.constantFrom(1, 2, 5),
  base_delay_ms: fc.constantFrom(0, 1_000),
  slow_after: fc.constantFrom(1, 100),
});

function toPolicy(given: ValueOf<typeof policies>): DeliveryPolicy {
  const { max_attempts, base_delay_ms, slow_after, ...rest } = given;
  const task = { max_attempts, base_delay_ms, max_delay_ms: 4_000 };
  const { retry, loop } = testPolicy();
  return {
    ...rest,
    retry: { ...retry, task },
    loop: { ...loop, window_ms: 5_000, slow_after, hold_after: slow_after + 1 },
  };
}

async function agree(given: ValueOf<typeof policies>, history: Step[]): Promise<void> {
  const policy = toPolicy(given);
  const clock = clockAt();
  await using first: Store = openMemoryStore({ clock, policy });
  await using folder = await temporaryFolder();
  const options = { folder: folder.path, clock, policy, log: silentLog, retention_ms: 0 };
  await using second: Store = await openUnlockedStore(options);
  const sides = [sideOf(first, clock), sideOf(second, clock)] as const;
  for (const step of history) {
    if ("move" in step) step.move(clock);
    else await compare(sides, step.play, step[fc.toStringMethod]());
  }
  await compare(sides, readAll, "in the end");
}

async function compare(
  [memory, other]: readonly [Side, Side],
  play: (side: Side) => Promise<unknown>,
  what: string,
): Promise<void> {
  const expected = comparable(memory, await play(memory));
  const actual = comparable(other, await play(other));
  assert.deepEqual(actual, expected, `${what}: the SQLite store answers otherwise than the memory store`);
}

/** The answer with what stores may choose for themselves put alike: the spelling of lease ids, the order of who is woken. */
function comparable(side: Side, answer: unknown): unknown {
  const names = new Map<unknown, string>(side.leases.map(({ lease_id }, index) => [lease_id, `lease ${index + 1}`]));
  const text = JSON.stringify(answer, (key, value: unknown) => {
    if (key === "woken" && Array.isArray(value)) return [...value].sort();
    return names.get(value) ?? (value === undefined ? "undefined" : value);
  });
  return text === undefined ? undefined : JSON.parse(text);
}
