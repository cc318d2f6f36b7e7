import type { DeliveryStore, Redrive } from "../../app/ports.ts";
import type { StoreContext } from "./context.ts";
import { fromRow } from "./load.ts";
import { type OpenDelivery, toWrite } from "./open-delivery.ts";
import type { Step } from "./protocol.ts";
import { agentsOf, ledgerStep } from "./transitions.ts";

/**
 * Dead deliveries are on the disk only, held ones in memory: both are gathered, written as ready, and entered when that is
 * on the disk. One redrive at a time, so that none is brought back twice.
 */
export function createRedrive(context: StoreContext): {
  redrive: DeliveryStore["redrive"];
  /** Resolves when none is under way. */
  idle(): Promise<void>;
} {
  let last: Promise<unknown> = Promise.resolve();
  return {
    redrive(order) {
      const mine = last.then(() => redriveNow(context, order));
      last = mine.catch(() => undefined); // Its own caller hears of the error.
      return mine;
    },
    async idle() {
      await last;
    },
  };
}

async function redriveNow(context: StoreContext, order: Redrive): ReturnType<DeliveryStore["redrive"]> {
  const { engine, reader, queue } = context;
  await queue.barrier();
  const { agent_id, message_ids, limit } = order;
  const rows = await reader.ask("dead_deliveries", {
    ...(agent_id && { agent_id }),
    ...(message_ids && { message_ids }),
    limit,
    with_aging: context.policy.aging_ms !== undefined,
  });
  const dead = rows.map((it) => fromRow(context, it));
  const chosen = [...dead, ...heldOnes(context, order)].sort(byPlace).slice(0, limit);
  if (chosen.length === 0) return { message_ids: [], woken: [] };
  for (const it of chosen) it.settling = true;
  const steps = chosen.map((it) => redriven(context, it, order.actor));
  return queue.submit(
    { operation: "steps", steps },
    {
      size: { operations: steps.length, bytes: steps.length * 256 },
      apply(wereThere) {
        // A dead one may have been forgotten (retention) after it was read.
        const back = chosen.filter((_, index) => wereThere[index]);
        for (const delivery of back) bringBack(context, delivery);
        return { message_ids: back.map((it) => it.message_id), woken: agentsOf(back) };
      },
      undo() {
        for (const it of chosen) if (it.state === "held") engine.restore(it);
      },
    },
  );
}

function heldOnes({ engine }: StoreContext, { agent_id, message_ids }: Redrive): OpenDelivery[] {
  const inboxes = agent_id ? [engine.inbox(agent_id)] : [...engine.inboxes.values()];
  const asked = message_ids && new Set(message_ids);
  return inboxes
    .flatMap((it) => [...it.open.values()])
    .filter((it) => it.state === "held" && !it.settling && (!asked || asked.has(it.message_id)));
}

function byPlace(a: OpenDelivery, b: OpenDelivery): number {
  return a.position - b.position || a.recipient - b.recipient;
}

function redriven({ clock }: StoreContext, delivery: OpenDelivery, actor: string): Step {
  const now = clock.now();
  // Brought back on purpose: that it was to expire no longer counts.
  const expires_ms = delivery.expires_ms <= now ? Number.POSITIVE_INFINITY : delivery.expires_ms;
  const depth_change = delivery.state === "dead" ? 1 : 0;
  return {
    ledger: [ledgerStep(delivery, now, { event: "redriven", actor })],
    delivery: toWrite(delivery, { state: "ready", attempt: 0, expires_ms, depth_change }),
  };
}

function bringBack({ engine, clock }: StoreContext, delivery: OpenDelivery): void {
  delivery.settling = false;
  if (delivery.expires_ms <= clock.now()) delivery.expires_ms = Number.POSITIVE_INFINITY;
  delivery.attempt = 0;
  delivery.reason = undefined;
  if (delivery.state === "held") {
    engine.move(delivery, "ready");
  } else {
    delivery.state = "ready";
    delivery.inbox.dead -= 1;
    engine.enter(delivery);
  }
}
