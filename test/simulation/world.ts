import type { Call, Mailroom } from "../../src/app/mailroom.ts";
import type { Clock } from "../../src/base/clock.ts";
import type { Config } from "../../src/config.ts";
import type { AgentId, Delivery, LeaseId, MessageId, Moment, Priority } from "../../src/contract/messages.ts";
import type { Input, Output } from "../../src/contract/operations.ts";
import type { OperationName } from "../../src/contract/routes.ts";
import type { Judge } from "../support/checker.ts";
import type { Chance } from "./chance.ts";

/** The bus that runs at the moment; it dies and comes back, and connections end with it. */
export type Server = {
  readonly mailroom: Mailroom;
  /** Aborted when it dies: nothing that it was asked will ever be answered. */
  readonly death: AbortSignal;
};

/** Somebody who is entitled to mail as soon as there is some. */
export type Waiter = {
  readonly agent_id: AgentId;
  readonly min_priority?: Priority;
  readonly when?: Moment;
  /** For a subscription: deliveries that it may have outstanding in all, and every lease it was ever given. */
  readonly stream?: { granted: number; readonly leases: Set<LeaseId> };
};

/** What everybody in a simulation lives in. */
export type World = {
  readonly chance: Chance;
  readonly clock: Clock;
  readonly config: Config;
  readonly judge: Judge;
  readonly waiters: Set<Waiter>;
  /** Something to be done so much later, if the run is still going on. */
  readonly plan: (delay_ms: number, action: () => void) => void;
  /** Whether a message was accepted and is not forgotten. */
  readonly isKnown: (id: MessageId) => boolean;
  /** Undefined while it is down. */
  readonly server: () => Server | undefined;
  /** How likely a request or an answer gets lost on its way; 0 once the run is healed. */
  readonly loss: () => number;
  /** Reports what must never happen; the run ends with it. */
  readonly fail: (error: unknown) => void;
};

type Answer<Name extends OperationName> =
  | { readonly ok: true; readonly output: Output<Name> }
  | { readonly ok: false; readonly error: unknown };

export type Exchange<Name extends OperationName> = {
  readonly actor: string;
  /** When the request arrives, before anything is done with it. */
  readonly onArrival?: () => void;
  /** When the bus answers: what the bus says is judged here, before the way back changes the order of things. */
  readonly onAnswered?: (answer: Answer<Name>) => void;
  /** When the answer is in the hands of whoever asked. */
  readonly onAnswer?: (answer: Answer<Name>) => void;
  /** No answer came in time: nobody knows what happened. */
  readonly onSilence?: () => void;
  /** Ends the wait of a caller that has gone. */
  readonly signal?: AbortSignal;
};

/** How long an answer is waited for, on top of the time that the operation itself may take. */
const patience_ms = 2_000;

/** One request over an unreliable network: it takes its time, and it or its answer may be lost. */
export function ask<Name extends OperationName>(
  world: World,
  name: Name,
  input: Input<Name>,
  exchange: Exchange<Name>,
): void {
  const { chance, plan } = world;
  let answered = false;
  plan(chance.between(0, 40), () => {
    const server = world.server();
    if (!server || chance.happens(world.loss())) return;
    exchange.onArrival?.();
    void carryOut(server, name, input, exchange).then((answer) => {
      if (server.death.aborted) return;
      exchange.onAnswered?.(answer);
      if (chance.happens(world.loss())) return;
      plan(chance.between(0, 40), () => {
        if (answered) return;
        answered = true;
        exchange.onAnswer?.(answer);
      });
    }, world.fail);
  });
  const wait_ms = "wait_ms" in input ? Number(input.wait_ms) : 0;
  plan(patience_ms + wait_ms, () => {
    if (answered) return;
    answered = true;
    exchange.onSilence?.();
  });
}

async function carryOut<Name extends OperationName>(
  { mailroom }: Server,
  name: Name,
  input: Input<Name>,
  { actor, signal }: Exchange<Name>,
): Promise<Answer<Name>> {
  const caller = { actor, scopes: ["operate"] as const };
  // Each operation takes its own input; the compiler cannot see that `name` and `input` belong together.
  const operation = mailroom[name] as unknown as (input: Input<Name>, call: Call) => Promise<Output<Name>>;
  try {
    return { ok: true, output: await operation(input, { caller, ...(signal && { signal }) }) };
  } catch (error) {
    return { ok: false, error };
  }
}

/** Tells the judge that deliveries have left the bus. */
export function noteDeliveries({ judge, clock }: World, deliveries: readonly Delivery[], lease_ms: number): void {
  for (const { message, agent_id, lease_id, attempt } of deliveries) {
    const at_ms = clock.elapsed();
    const lease_until_ms = at_ms + lease_ms;
    judge.delivered({ message_id: message.id, agent_id, lease_id, attempt, at_ms, lease_until_ms });
  }
}
