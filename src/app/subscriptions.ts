import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { AgentId, Delivery, LeaseId } from "../contract/messages.ts";
import { actorOf, requireAgent } from "./agents.ts";
import { release } from "./deliveries.ts";
import type { Call, SubscribeInput, Subscription } from "./mailroom.ts";
import type { Office } from "./office.ts";

/** Deliveries handed over at a time, so that one subscriber's large credit does not keep the others waiting. */
const push_step = 64;
/**
 * How soon a pump that could not claim looks again by itself: because the agent held all the leases it may, which others'
 * acknowledgements change without waking anybody, or because the store failed.
 */
const look_again_ms = 100;

type Push = (deliveries: readonly Delivery[]) => void;

/**
 * Pushes an agent's mail for as long as credit lasts.
 *
 *   mail came, credit came ──▶ claim up to credit ──▶ push ──▶ again until there is no more
 */
export async function subscribe(office: Office, input: SubscribeInput, push: Push, call: Call): Promise<Subscription> {
  const { agent_id } = await requireAgent(office, input.agent_id);
  await office.store.fleet.touchAgent({ agent_id });
  const pump = createPump(office, { ...input, agent_id }, push, actorOf(call));
  const stopListening = office.announcer.onMail(agent_id, pump.run);
  pump.run();
  return {
    addCredit(credit) {
      pump.addCredit(credit);
    },
    async [Symbol.asyncDispose]() {
      stopListening();
      await release(office, await pump.stop(), "the subscriber's connection closed; lease returned");
    },
  };
}

function createPump(office: Office, input: SubscribeInput & { agent_id: AgentId }, push: Push, actor: string) {
  const { store, leaseEnds, config } = office;
  const leases = new Set<LeaseId>();
  let credit = input.credit;
  let open = true;
  /** Set while claiming; `again` notes that something changed meanwhile, so that no wake-up is lost. */
  let running: Promise<void> | undefined;
  let again = false;
  let cancelLookingAgain: () => void = () => undefined;

  const lookAgainLater = () => {
    cancelLookingAgain();
    if (open) cancelLookingAgain = office.startTimer(look_again_ms, run);
  };

  const claim = async (): Promise<boolean> => {
    const limit = Math.min(credit, push_step);
    const lease_ms = input.lease_ms ?? config.lease_ms;
    const outcome = await store.deliveries.claim({ agent_id: input.agent_id, limit, lease_ms, actor });
    if (outcome.outcome === "lease_limit") {
      lookAgainLater();
      return false;
    }
    for (const { lease_id } of outcome.deliveries) {
      leases.add(lease_id);
      const ended = () => {
        leases.delete(lease_id);
        credit += 1;
        run();
      };
      leaseEnds.set(lease_id, { agent_id: input.agent_id, ended });
    }
    credit -= outcome.deliveries.length;
    if (open && outcome.deliveries.length > 0) push(outcome.deliveries);
    // Fewer than asked for may be all that the agent may hold, not all there is: the next look tells.
    return outcome.deliveries.length > 0;
  };

  const pumpAll = async () => {
    try {
      do {
        again = false;
        while (open && credit > 0 && (await claim()));
      } while (open && again && credit > 0);
    } catch (error) {
      office.log.error({ error, agent_id: input.agent_id }, "cannot push mail; will try again");
      lookAgainLater();
    } finally {
      // At once after the last look at `again`: whoever wakes this pump from now on must start it anew.
      running = undefined;
    }
  };

  const run = () => {
    again = true;
    if (running || !open || credit <= 0) return;
    running = pumpAll();
  };

  return {
    run,
    addCredit(more: number) {
      if (credit + leases.size + more > limits.credit) {
        throw new BusError("invalid_input", `credit: at most ${limits.credit} deliveries may be outstanding`);
      }
      credit += more;
      run();
    },
    async stop(): Promise<LeaseId[]> {
      open = false;
      cancelLookingAgain();
      await running;
      return [...leases];
    },
  };
}
