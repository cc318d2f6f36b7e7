import type { Death, DeliveryStore } from "../../app/ports.ts";
import type { AgentId, LeaseId } from "../../contract/messages.ts";
import { acknowledge } from "./acknowledge.ts";
import type { StoreContext } from "./context.ts";
import { leasing } from "./leasing.ts";
import { publish } from "./publish.ts";
import { createRedrive } from "./redrive.ts";
import { sweep } from "./sweep.ts";
import { agentsOf, die, doNow, endAttempt, itself } from "./transitions.ts";

export function deliveryStore(context: StoreContext): DeliveryStore {
  const { redrive, idle } = createRedrive(context);
  return {
    ...leasing(context),
    publish: (publications) => publish(context, publications),
    acknowledge: (leases, actor) => acknowledge(context, leases, actor),
    release: async (leases, reason) => release(context, leases, reason),
    sweep: async (limit) => sweep(context, limit),
    redrive,

    async retire(agent_id, reason, actor) {
      // First what is on its way: messages that are being accepted, and deliveries whose end is being written.
      await context.queue.barrier();
      await idle();
      const deaths = retire(context, agent_id, { reason, actor });
      await context.queue.barrier();
      return deaths;
    },
  };
}

function release(
  context: StoreContext,
  leases: readonly LeaseId[],
  reason: string,
): { woken: readonly AgentId[]; deaths: readonly Death[] } {
  const held = new Set(leases.flatMap((lease_id) => context.engine.leased(lease_id) ?? []));
  const ended = [...held].filter((it) => !it.settling);
  const failure = { reason, actor: itself, delay_ms: 0 };
  const deaths = doNow(
    context,
    ended.map((it) => [it, endAttempt(context, it, failure)]),
  );
  return { woken: agentsOf(ended.filter((it) => it.state === "ready")), deaths };
}

function retire(context: StoreContext, agent_id: AgentId, cause: { reason: string; actor: string }): Death[] {
  const open = [...context.engine.inbox(agent_id).open.values()].filter((it) => it.state !== "dead" && !it.settling);
  open.sort((a, b) => a.position - b.position);
  return doNow(
    context,
    open.map((it) => [it, die(context, it, cause)]),
  );
}
