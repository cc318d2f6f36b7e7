import { strict as assert } from "node:assert/strict";
import type { Claim, Publication, Store } from "../../src/app/ports.ts";
import type { Clock } from "../../src/base/clock.ts";
import type { AgentId, Delivery, DeliveryStatus, Message, MessageId } from "../../src/contract/messages.ts";
import type { DeliveryPolicy } from "../../src/core/messaging/policy.ts";
import { aPublication, clockAt, type TestClock, testPolicy } from "../support/fixtures.ts";

/** Opens an empty store of the kind under test; the test disposes it. */
export type OpenStore = (options: { clock: Clock; policy: DeliveryPolicy }) => Promise<Store>;

/** A store under test with its clock, and the phrases in which the rules are told. */
export type Opened = AsyncDisposable & {
  readonly store: Store;
  readonly clock: TestClock;
  /** Publishes one message, which must be accepted. */
  send(overrides?: Partial<Publication>): Promise<Message>;
  /** What publishing one message is answered with. */
  trySend(overrides?: Partial<Publication>): ReturnType<typeof publishOne>;
  /** Claims as the agent's own doing, for 30 s and up to 100 unless told otherwise. */
  claim(agent_id: AgentId, overrides?: Partial<Claim>): Promise<readonly Delivery[]>;
  /** Claims the one message that must be there. */
  claimOne(agent_id: AgentId, overrides?: Partial<Claim>): Promise<Delivery>;
  /** How a message's only, or named, delivery stands. */
  status(id: MessageId, agent_id?: AgentId): Promise<DeliveryStatus>;
  /** A message's ledger, a line per step: the event, and the reason if it has one. */
  ledger(id: MessageId): Promise<string[]>;
};

export async function openFor(open: OpenStore, policy: Partial<DeliveryPolicy> = {}): Promise<Opened> {
  const clock = clockAt();
  const store = await open({ clock, policy: testPolicy(policy) });
  const claim: Opened["claim"] = async (agent_id, overrides) => {
    const outcome = await store.deliveries.claim(aClaim(agent_id, overrides));
    assert(outcome.outcome === "claimed", `expected a claim, got ${outcome.outcome}`);
    return outcome.deliveries;
  };
  return {
    store,
    clock,
    claim,
    async send(overrides) {
      const outcome = await publishOne(store, overrides);
      assert(outcome?.outcome === "accepted", `expected to be accepted, got ${outcome?.outcome}`);
      return outcome.message;
    },
    trySend: (overrides) => publishOne(store, overrides),
    async claimOne(agent_id, overrides) {
      const [delivery, another] = await claim(agent_id, overrides);
      assert(delivery && !another, "expected exactly one delivery");
      return delivery;
    },
    async status(id, agent_id) {
      const traced = await store.history.message(id);
      const status = traced?.deliveries.find((it) => agent_id === undefined || it.agent_id === agent_id);
      assert(status, `expected a delivery of ${id}`);
      return status;
    },
    async ledger(id) {
      const traced = await store.history.message(id);
      assert(traced, `expected the message ${id}`);
      return traced.ledger.map(({ event, reason }) => (reason === undefined ? event : `${event}: ${reason}`));
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

export function aClaim(agent_id: AgentId, overrides: Partial<Claim> = {}): Claim {
  return { agent_id, limit: 100, lease_ms: 30_000, actor: agent_id, ...overrides };
}

async function publishOne(store: Store, overrides?: Partial<Publication>) {
  const [outcome] = await store.deliveries.publish([aPublication(overrides)]);
  assert(outcome);
  return outcome;
}

/** What names a lease: the first two things any later call must present. */
export function leaseOf({ message, lease_id }: Delivery) {
  return { message_id: message.id, lease_id };
}

export function contents(rows: readonly (Message | Delivery)[]): string[] {
  return rows.map((it) => ("message" in it ? it.message.content : it.content));
}
