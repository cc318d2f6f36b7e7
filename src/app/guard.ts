import { BusError } from "../contract/errors.ts";
import type { AgentId } from "../contract/messages.ts";
import type { Operation } from "../contract/operation.ts";
import { operations } from "../contract/operations.ts";
import { type OperationName, operationNames } from "../contract/routes.ts";
import type { Call, Caller, Mailroom } from "./mailroom.ts";
import type { FleetStore } from "./ports.ts";

/*
 * Who may do what. Scopes and named agents are judged here, for every operation and every way in, by the table of operations. What
 * can only be judged with the object in hand (a message, a lease, a conversation) is judged where it is at hand, by
 * `actsAs` and `readsAs`; what another agent may not see does not exist for it.
 */

/** The one agent that this caller may act as; undefined for who may act as any. */
export function actsAs({ caller }: Call): AgentId | undefined {
  return holds(caller, "operate", "admin") ? undefined : caller.agent_id;
}

/** The one agent whose mail this caller may read; undefined for who may read all. */
export function readsAs({ caller }: Call): AgentId | undefined {
  return holds(caller, "observe", "operate", "admin") ? undefined : caller.agent_id;
}

/** A mailroom that first asks whether the caller may. */
export function guardMailroom(mailroom: Mailroom, fleet: Pick<FleetStore, "agent">): Mailroom {
  const guarded = Object.fromEntries(operationNames.map((name) => [name, guardOperation(mailroom, name, fleet)]));
  return {
    // One for every operation.
    ...(guarded as Pick<Mailroom, OperationName>),
    async subscribe(input, push, call) {
      requireScope("subscribe", operations.claimMessages.scopes, call.caller);
      await requireSelf(fleet, input.agent_id, actsAs(call));
      return mailroom.subscribe(input, push, call);
    },
    async follow(input, push, call) {
      requireScope("follow", operations.searchMessages.scopes, call.caller);
      return mailroom.follow(input, push, call);
    },
    releaseLeases: mailroom.releaseLeases,
    status: mailroom.status,
  };
}

function guardOperation(mailroom: Mailroom, name: OperationName, fleet: Pick<FleetStore, "agent">) {
  const { scopes, touches }: Operation = operations[name];
  // The operation and its input belong together, which the compiler cannot follow across the table.
  const perform = mailroom[name] as (input: unknown, call: Call) => Promise<unknown>;
  const only = scopes.includes("observe") ? readsAs : actsAs;
  return async (input: unknown, call: Call): Promise<unknown> => {
    requireScope(name, scopes, call.caller);
    if (touches === "agent") await requireSelf(fleet, (input as { agent_id: AgentId }).agent_id, only(call));
    return perform(input, call);
  };
}

function requireScope(name: string, scopes: Operation["scopes"], caller: Caller): void {
  if (caller.voided?.aborted) {
    throw new BusError("unauthenticated", "this token is not valid any more: it was revoked, or has expired");
  }
  if (scopes.some((it) => it === "open" || holds(caller, it)) || holds(caller, "admin")) return;
  const wanted = [...new Set([...scopes, "admin"])];
  const scope = wanted.length === 1 ? "the scope" : "one of the scopes";
  throw new BusError(
    "forbidden",
    `${caller.actor} may not call ${name}: it takes a token with ${scope} ${wanted.join(", ")}`,
  );
}

/** By id or alias. */
async function requireSelf(fleet: Pick<FleetStore, "agent">, name: AgentId, only: AgentId | undefined): Promise<void> {
  if (only === undefined || name === only) return;
  if ((await fleet.agent(name))?.agent_id === only) return;
  throw new BusError("forbidden", `this token is ${only}'s; it cannot speak for ${name}`);
}

function holds({ scopes }: Caller, ...wanted: readonly Caller["scopes"][number][]): boolean {
  return wanted.some((it) => scopes.includes(it));
}
