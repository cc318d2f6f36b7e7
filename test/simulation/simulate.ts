import { type Config, deliveryPolicy } from "../../src/config.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import { createJudge } from "../support/checker.ts";
import { testConfig } from "../support/fixtures.ts";
import { type Chance, createChance } from "./chance.ts";
import { checkEnd, checkMoment } from "./checks.ts";
import { allDeliveries, createModel, type ModelDelivery, Violation } from "./model.ts";
import { startOperator } from "./operator.ts";
import { createReader, type Reader } from "./reader.ts";
import { killServer, type Run, restartServer, type StoreLife, startServer } from "./run.ts";
import { type Registry, startSender } from "./sender.ts";
import { createTime } from "./time.ts";
import type { World } from "./world.ts";

export type SimulationOptions = {
  readonly seed: number;
  readonly life: StoreLife;
  /** Messages that each agent sends. */
  readonly messages: number;
};

export type Outcome = {
  readonly accepted: number;
  readonly kills: number;
  /** Steps that it took until everything had been read, once nobody made trouble any more. */
  readonly steps: number;
  /** How intents came out, each kind once: `publish accepted`, `acknowledge lease_lost`. */
  readonly met: ReadonlySet<string>;
};

/** Runs a fleet through its life. @throws Violation as soon as a promise is broken. */
export async function simulate({ seed, life, messages }: SimulationOptions): Promise<Outcome> {
  const chance = createChance(seed);
  const config = randomConfig(chance);
  const time = createTime();
  const policy = deliveryPolicy(config);
  const model = createModel(time.clock, policy);
  const judge = createJudge({ max_attempts: config.max_attempts });
  const run: Run = {
    chance,
    time,
    config,
    model,
    seen: {
      judge,
      met: new Set(),
      owed: new Map(),
      fleet: new Map(),
      hasFleetChanged: false,
      wasKilled: false,
      losesLeases: false,
    },
    life,
    waiters: new Set(),
    waitingSince: new Map(),
    followed: [],
    missedEvents: false,
    errors: [],
    store: await life.open({ clock: time.clock, policy }),
    server: undefined,
    line_ms: 0,
    restart_at_ms: 0,
    isHealed: false,
  };
  await startServer(run);
  const registry = await registerFleet(run);
  const readers = populate(run, registry, messages);
  const kills = await live(run, messages);
  const steps = await heal(run, readers);
  await checkEnd(run);
  return { accepted: model.accepted, kills, steps, met: run.seen.met };
}

/** Small numbers, so that every limit is reached and every time comes. */
function randomConfig(chance: Chance): Config {
  const general = {
    max_attempts: chance.between(1, 5),
    base_delay_ms: chance.pick([0, 100, 1_000]),
    max_delay_ms: chance.pick([0, 2_000, 10_000]),
  };
  const hasRetention = chance.happens(0.2);
  return testConfig({
    lease_ms: chance.between(500, 5_000),
    max_attempts: general.max_attempts,
    retry: { task: general, status: general, question: general, response: general },
    backoff_base_ms: general.base_delay_ms,
    backoff_max_ms: general.max_delay_ms,
    aging_ms: chance.pick([0, 0, 2_000, 20_000]),
    idempotency_ms: hasRetention ? 10_000 : chance.pick([10_000, 86_400_000]),
    inbox_depth: chance.pick([3, 10, 30, 1_000]),
    open_leases_per_agent: chance.pick([1, 3, 10, 1_000]),
    confirm_above: chance.pick([2, 50]),
    loop_slow_after: 2,
    loop_hold_after: chance.pick([3, 5]),
    loop_window_ms: chance.pick([1_000, 30_000]),
    retention_ms: hasRetention ? 30_000 : 0,
    alive_ms: 2_000,
    dead_ms: 6_000,
  });
}

async function registerFleet({ chance, server }: Run): Promise<Registry> {
  const names = ["ada", "bob", "cleo", "dora", "emil"].slice(0, chance.between(2, 5)) as AgentId[];
  const groups = new Map([
    ["builders", names.filter(() => chance.happens(0.6))],
    ["everyone", names],
  ]);
  const capabilities = new Map([
    ["review", names.filter(() => chance.happens(0.5))],
    ["deploy", names.slice(0, 1)],
  ]);
  const namesOf = (all: ReadonlyMap<string, readonly AgentId[]>, agent_id: AgentId) =>
    [...all.entries()].filter(([, members]) => members.includes(agent_id)).map(([name]) => name);
  for (const agent_id of names) {
    const registration = {
      agent_id,
      groups: namesOf(groups, agent_id),
      capabilities: namesOf(capabilities, agent_id).map((name) => ({ name })),
    };
    const call = { caller: { actor: agent_id, scopes: ["operate"] as const } };
    const registered = server?.mailroom.registerAgent(registration, call);
    await server?.gate.drain();
    await registered;
  }
  return { registered: new Set(names), groups, capabilities };
}

function populate(run: Run, registry: Registry, messages: number): Reader[] {
  const { chance, time, config, model, seen, waiters } = run;
  const world: World = {
    chance,
    clock: time.clock,
    config,
    judge: seen.judge,
    waiters,
    plan: time.plan,
    isKnown: (id) => model.messages.has(id),
    server: () => run.server,
    loss: () => (run.isHealed ? 0 : 0.03),
    fail: (error) => run.errors.push(error),
  };
  const readers: Reader[] = [];
  for (const agent_id of registry.registered) {
    startSender(world, registry, agent_id, messages);
    for (let i = chance.between(1, 2); i > 0; i--) {
      const reader = createReader(world, agent_id, { polls: chance.happens(0.5) });
      time.plan(chance.between(0, 5_000), () => reader.start());
      readers.push(reader);
    }
  }
  startOperator(world, registry, {
    known: () => [...model.messages.keys()],
    isOver: () => run.isHealed,
  });
  return readers;
}

/** The troubled part. @returns How often the server was killed. */
async function live(run: Run, messages: number): Promise<number> {
  const { chance, time } = run;
  let kills = 0;
  for (let step = 0; step < messages * 25; step++) {
    time.next(500, chance.happens(0.5) ? 30 : 0);
    if (run.server && chance.happens(0.004)) {
      // In the middle of what it is doing.
      await run.server.gate.drain(chance.between(0, 6));
      killServer(run);
      run.restart_at_ms = time.clock.elapsed() + chance.between(0, 4_000);
      kills += 1;
    }
    await settle(run);
    if (chance.happens(0.01)) time.sleep(chance.between(1_000, 90_000));
    if (chance.happens(0.01)) time.jumpWall(chance.pick([-86_400_000, -3_600_000, -500, 500, 3_600_000, 100_000_000]));
  }
  return kills;
}

/** Lets everything that has begun come to rest, and looks whether all is as it must be. */
async function settle(run: Run): Promise<void> {
  if (!run.server && run.time.clock.elapsed() >= run.restart_at_ms) await restartServer(run);
  await run.server?.gate.drain();
  checkMoment(run);
}

/** Steps within which everything must have reached its end once nobody makes trouble any more. */
const patience = 3_000;

/** Ends all trouble and waits until every message has been read. @returns The steps that it took. */
async function heal(run: Run, readers: readonly Reader[]): Promise<number> {
  run.isHealed = true;
  run.restart_at_ms = 0;
  for (const reader of readers) reader.reform();
  for (let step = 0; step < patience; step++) {
    run.time.next(1_000, 20);
    await settle(run);
    const left = unfinished(run);
    if (left.length === 0) return step;
    if (left.some((it) => it.state === "ready" || it.state === "leased")) continue;
    jumpPast(run, left);
    if (left.some((it) => it.state === "dead" || it.state === "held")) await redriveAll(run);
  }
  const left = unfinished(run).map((it) => `${it.state} for ${it.agent_id}: ${it.message.publication.id}`);
  throw new Violation(
    `${left.length} deliveries did not come to their end: ${left.sort().reverse().slice(0, 5).join(", ")}`,
  );
}

function unfinished({ model }: Run): ModelDelivery[] {
  return allDeliveries(model).filter((it) => it.state !== "acknowledged");
}

async function redriveAll(run: Run): Promise<void> {
  const call = { caller: { actor: "operator", scopes: ["operate"] as const } };
  const redriven = run.server?.mailroom.redriveDeadLetters({}, call);
  await settle(run);
  await redriven;
}

/** Lets come what mail waits for: a moment that the wall clock has been set back from, or the end of a long delay. */
function jumpPast({ time }: Run, left: readonly ModelDelivery[]): void {
  const scheduled = left.filter((it) => it.state === "scheduled");
  const delay_ms = Math.max(...scheduled.map((it) => it.not_before_elapsed_ms)) - time.clock.elapsed();
  if (delay_ms > 0) time.sleep(delay_ms);
  const early_ms = Math.max(...scheduled.map((it) => it.not_before_wall_ms)) - time.clock.now();
  if (early_ms > 0) time.jumpWall(early_ms);
}
