import { openAccess } from "../../src/app/access.ts";
import { openAuditLog } from "../../src/app/audit.ts";
import { createMailroom } from "../../src/app/bus.ts";
import type { Store } from "../../src/app/ports.ts";
import type { Clock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import type { Config } from "../../src/config.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { BusEvent } from "../../src/contract/events.ts";
import type { Cursor } from "../../src/contract/messages.ts";
import type { DeliveryPolicy } from "../../src/core/messaging/policy.ts";
import { openMemoryAudit } from "../../src/stores/memory/audit.ts";
import { openTestKeys } from "../support/hive-keys.ts";
import type { Chance } from "./chance.ts";
import { createGate, type Gate } from "./gate.ts";
import { type Model, takeOver } from "./model.ts";
import type { Observations } from "./observations.ts";
import type { SimulatedTime } from "./time.ts";
import { createWitness } from "./witness.ts";
import type { Server, Waiter } from "./world.ts";

/** The store of a simulated server: what it is opened with, and what is left of it when the server is killed. */
export type StoreLife = AsyncDisposable & {
  open(options: StoreLifeOptions): Promise<Store>;
  /** The store as the next server finds it. */
  reopen(killed: Store): Promise<Store>;
  /** Whether leases end with the server that gave them, rather than in their time. */
  readonly losesLeases: boolean;
};

export type StoreLifeOptions = { readonly clock: Clock; readonly policy: DeliveryPolicy };

/** Everything of one run. */
export type Run = {
  readonly chance: Chance;
  readonly time: SimulatedTime;
  readonly config: Config;
  readonly model: Model;
  readonly seen: Observations;
  readonly life: StoreLife;
  readonly waiters: Set<Waiter>;
  /** Elapsed time since which there has been mail for somebody who waits. */
  readonly waitingSince: Map<Waiter, number>;
  /** All events that were followed, in order, over all restarts. */
  readonly followed: BusEvent[];
  /** Whether some were forgotten while the server was down, before they could be followed; the follower is told so. */
  missedEvents: boolean;
  readonly errors: unknown[];
  store: Store;
  server: (Server & { readonly gate: Gate; readonly kill: AbortController }) | undefined;
  /** Wall time less elapsed time when the server was started. */
  line_ms: number;
  /** Elapsed time at which a killed server starts again. */
  restart_at_ms: number;
  isHealed: boolean;
};

export async function startServer(run: Run): Promise<void> {
  const { chance, time, config, model, seen } = run;
  const kill = new AbortController();
  run.line_ms = time.clock.now() - time.clock.elapsed();
  const gate = createGate(
    run.store,
    chance,
    createWitness(model, () => run.store, seen),
  );
  const { clock } = time;
  const log = alarmLog(run, kill.signal);
  const access = await openAccess({ tokens: gate.store.tokens, clock, randomBytes: chance.randomBytes, log });
  const audit = openAuditLog({ store: openMemoryAudit(), clock, log: silentLog, startTimer: time.startTimer });
  const keys = await openTestKeys(gate.store, { clock, audit, startTimer: time.startTimer });
  const mailroom = createMailroom({
    store: gate.store,
    access,
    audit,
    keys,
    clock,
    startTimer: time.startTimer,
    config,
    randomBytes: chance.randomBytes,
    log,
    version: "simulated",
  });
  run.server = { mailroom, death: kill.signal, gate, kill };
  const after = run.followed.at(-1)?.cursor;
  const call = { caller: { actor: "operator", scopes: ["operate"] as const } };
  const push = async (events: readonly BusEvent[]) => {
    if (!kill.signal.aborted) run.followed.push(...events);
  };
  // From the very beginning: the first event of all comes after position 0.
  await mailroom.follow({ after: after ?? startOfEvents }, push, call).catch((error: unknown) => {
    if (!(error instanceof BusError) || error.code !== "cursor_expired") throw error;
    run.missedEvents = true;
    return mailroom.follow({}, push, call);
  });
  // What a crash has left undone comes first.
  await gate.drain();
}

const startOfEvents = Buffer.from('["event",0]').toString("base64url") as Cursor;

/** Whatever the bus itself calls an error must not happen. */
function alarmLog(run: Run, death: AbortSignal): Log {
  const alarm = (fields: object, text: string) => {
    if (death.aborted) return;
    const cause = "error" in fields ? fields.error : undefined;
    run.errors.push(new Error(`the bus logged: ${text} ${JSON.stringify(fields)}`, { cause }));
  };
  return { debug() {}, info() {}, warn: alarm, error: alarm };
}

export function killServer(run: Run): void {
  run.server?.gate.kill();
  run.server?.kill.abort();
  run.server = undefined;
  run.time.forgetTimers();
  run.waiters.clear();
  run.waitingSince.clear();
  run.seen.judge.interrupted();
  run.seen.wasKilled = true;
  run.seen.losesLeases = run.life.losesLeases;
}

/** Starts the server again on what the killed one has left. */
export async function restartServer(run: Run): Promise<void> {
  const { life, model, seen, config, time } = run;
  for (const [death, died_ms] of seen.owed) {
    // So long ago that nobody could tell whether its notice was sent.
    if (time.clock.now() - died_ms > config.idempotency_ms) seen.owed.delete(death);
  }
  run.store = await life.reopen(run.store);
  if (life.losesLeases) await takeOverAll(run);
  model.unwritten.clear();
  await startServer(run);
}

/**
 * Takes over what is left. Between two lives of a server there is only the wall clock: what was set in the earlier one
 * moves the ends of delays.
 */
async function takeOverAll({ store, model, seen, time, line_ms }: Run): Promise<void> {
  const set_ms = time.clock.now() - time.clock.elapsed() - line_ms;
  for (const { publication, deliveries } of model.messages.values()) {
    const message = await store.history.message(publication.id);
    for (const delivery of deliveries) {
      const found = message?.deliveries.find((it) => it.agent_id === delivery.agent_id);
      takeOver(model, delivery, found);
      delivery.not_before_elapsed_ms -= set_ms;
      // A death that was undone needs no notice.
      if (delivery.state !== "dead") seen.owed.delete(`${publication.id} ${delivery.agent_id}`);
    }
  }
}
