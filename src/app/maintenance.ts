import { sendDeathNotices } from "./notices.ts";
import { endLease, type Office } from "./office.ts";

/** Longest time between two looks at what has fallen due; also how late a scheduled delivery may be. */
const tick_ms = 50;
/** Things done per look, so that a flood falling due at once does not hold up the mail. */
const step = 1_000;
const prune_every_ms = 60_000;
const look_at_keys_every_ms = 600_000;

/** Does what time brings: ends leases, releases scheduled mail, buries the expired, forgets the old, and renews the key that has sealed enough. */
export function startMaintenance(office: Office): AsyncDisposable {
  let open = true;
  let cancelTimer: () => void;
  let running: Promise<void> = Promise.resolve();
  let pruned_at_ms = office.clock.elapsed();
  let looked_at_keys_ms = pruned_at_ms;

  const look = async () => {
    const next_due_ms = await sweepOnce(office);
    if (office.config.retention_ms > 0 && office.clock.elapsed() - pruned_at_ms > prune_every_ms) {
      await prune(office);
      pruned_at_ms = office.clock.elapsed();
    }
    if (office.clock.elapsed() - looked_at_keys_ms > look_at_keys_every_ms) {
      looked_at_keys_ms = office.clock.elapsed();
      await office.keys.rotateIfDue();
    }
    return next_due_ms;
  };
  const schedule = (delay_ms: number) => {
    cancelTimer = office.startTimer(delay_ms, () => {
      running = look()
        .catch((error: unknown): undefined => {
          office.log.error({ error }, "maintenance failed; will try again");
        })
        .then((next_due_ms = tick_ms) => {
          if (open) schedule(Math.max(1, Math.min(tick_ms, next_due_ms)));
        });
    });
  };
  schedule(tick_ms);

  return {
    async [Symbol.asyncDispose]() {
      open = false;
      cancelTimer();
      await running;
    },
  };
}

/** One look at what has fallen due. Returns the time until the next thing does. */
export async function sweepOnce(office: Office): Promise<number | undefined> {
  const swept = await office.store.deliveries.sweep(step);
  for (const lease_id of swept.expired) endLease(office, lease_id);
  for (const agent_id of swept.woken) office.announcer.wake(agent_id);
  if (swept.deaths.length > 0) await sendDeathNotices(office, swept.deaths);
  return swept.next_due_ms;
}

async function prune({ store, clock, config, audit }: Office): Promise<void> {
  const before_ms = clock.now() - config.retention_ms;
  let messages = 0;
  for (let forgotten = step; forgotten === step; messages += forgotten) {
    forgotten = await store.history.prune(before_ms, step);
  }
  if (messages === 0) return;
  await audit.count({
    event: "messages_forgotten",
    actor: "system",
    detail: { messages, retention_ms: config.retention_ms },
  });
}
