import assert from "node:assert/strict";
import type { Config } from "../../src/config.ts";
import type { AgentId, Delivery, MessageId } from "../../src/contract/messages.ts";
import type { Bus, Input } from "../../src/contract/operations.ts";
import { ada, bob, cleo, type TestClock } from "../support/fixtures.ts";

/** A hive seen by an operator. Its clock moves when told. */
export type Hive = AsyncDisposable & { readonly bus: Bus; readonly clock: TestClock };

export type OpenHive = (settings?: Partial<Config>) => Promise<Hive>;

/** No agent is called that. */
export const nobody = "nobody" as AgentId;

/** A hive with ada, bob and cleo registered. */
export async function openScene(openHive: OpenHive, settings: Partial<Config> = {}): Promise<Hive> {
  const hive = await openHive(settings);
  for (const agent_id of [ada, bob, cleo]) await hive.bus.registerAgent({ agent_id });
  return hive;
}

/** From ada to bob, unless told otherwise. */
export function send(bus: Bus, overrides: Partial<Input<"sendMessage">> = {}) {
  return bus.sendMessage({
    from_agent: ada,
    ...(overrides.to ? {} : { to_agent: bob }),
    content: "hello",
    ...overrides,
  });
}

/** All that bob may have, unless told otherwise. */
export async function claim(bus: Bus, overrides: Partial<Input<"claimMessages">> = {}): Promise<Delivery[]> {
  return (await bus.claimMessages({ agent_id: bob, limit: 100, ...overrides })).deliveries;
}

export function acknowledge(bus: Bus, { message, lease_id }: Delivery) {
  return bus.acknowledgeMessage({ message_id: message.id, lease_id });
}

/** What the ledger of a message says, in order. */
export async function eventsOf(bus: Bus, message_id: MessageId) {
  return (await bus.getMessage({ message_id })).ledger.map((it) => it.event);
}

export function contents(deliveries: readonly Delivery[]): string[] {
  return deliveries.map((it) => it.message.content);
}

export function rejectsWith(promise: Promise<unknown>, code: string, message = /./): Promise<void> {
  return assert.rejects(promise, { name: "BusError", code, message });
}
