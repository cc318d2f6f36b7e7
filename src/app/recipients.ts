import type { Agent } from "../contract/agents.ts";
import { BusError } from "../contract/errors.ts";
import type { Address, AgentId, NewMessage, OfflinePolicy } from "../contract/messages.ts";
import { isAble, pickRecipient } from "../core/fleet/discovery.ts";
import { addressText } from "../core/messaging/addresses.ts";
import { totalDepth } from "../core/messaging/inbox.ts";
import { presentAgent, requireAgent } from "./agents.ts";
import type { Office } from "./office.ts";

/** Where a message goes: what stands in it, and who really gets it. */
export type Route = {
  readonly to_agent: string;
  readonly to?: Address;
  readonly recipients: readonly AgentId[];
  readonly rerouted?: string;
};

/** @throws BusError for an address that leads nowhere, a broadcast that must be confirmed, or a recipient that is away. */
export async function findRecipients(
  office: Office,
  input: NewMessage,
  from_agent: AgentId,
  offline: OfflinePolicy,
): Promise<Route> {
  if ((input.to_agent === undefined) === (input.to === undefined)) {
    throw new BusError("invalid_input", "name the recipient by exactly one of `to_agent` and `to`");
  }
  const route = input.to_agent ? await toAgent(office, input.to_agent) : await toAddress(office, input, from_agent);
  return offline === "hold" ? route : mindAbsence(office, route, offline);
}

async function toAgent(office: Office, name: AgentId): Promise<Route> {
  const { agent_id } = await requireAgent(office, name);
  return { to_agent: agent_id, recipients: [agent_id] };
}

async function toAddress(office: Office, { to }: NewMessage, from_agent: AgentId): Promise<Route> {
  if (!to) throw new BusError("invalid_input", "name the recipient by `to_agent` or `to`");
  if ("capability" in to) {
    const agent_id = await findAble(office, to.capability);
    return { to_agent: agent_id, to, recipients: [agent_id] };
  }
  const known = await office.store.fleet.agents("group" in to ? { group: to.group } : {});
  const recipients = known.map((it) => it.agent_id).filter((it) => it !== from_agent);
  if (recipients.length === 0) {
    const whom = "group" in to ? `the group ${to.group} has no member` : "there is no agent";
    throw new BusError("group_empty", `${whom} besides the sender; agents join by registering`);
  }
  requireConfirmation(office, to, recipients.length);
  return { to_agent: addressText(to), to, recipients };
}

function requireConfirmation({ config }: Office, to: Address, count: number): void {
  if (!("broadcast" in to) || to.confirm || count <= config.confirm_above) return;
  throw new BusError(
    "confirmation_required",
    `this would go to ${count} agents, more than ${config.confirm_above}; send it with "confirm": true if that is meant`,
  );
}

async function findAble(office: Office, capability: string): Promise<AgentId> {
  const known = await office.store.fleet.agents({ capability });
  const picked = await pick(
    office,
    known.map((it) => presentAgent(office, it)),
  );
  if (picked) return picked.agent_id;
  throw new BusError(
    "capability_not_found",
    `no agent has the capability ${capability}; an agent says so by registering`,
  );
}

async function pick({ store }: Office, agents: readonly Agent[]): Promise<Agent | undefined> {
  const candidates = await Promise.all(
    agents.map(async (agent) => ({ agent, waiting: totalDepth(await store.history.inbox(agent.agent_id)) })),
  );
  return pickRecipient(candidates)?.agent;
}

/** Deals with recipients that are gone, as the sender wishes. */
async function mindAbsence(office: Office, route: Route, offline: "reroute" | "fail"): Promise<Route> {
  const known = await Promise.all(route.recipients.map((it) => requireAgent(office, it)));
  const away = known.map((it) => presentAgent(office, it)).find((it) => it.health === "dead");
  if (!away) return route;
  if (offline === "reroute") return reroute(office, route, away);
  const seen = away.last_seen_at ? `was last heard of at ${away.last_seen_at}` : "has not been heard of";
  throw new BusError("agent_offline", `${away.agent_id} ${seen}; send with "offline": "hold" to let it wait`);
}

async function reroute(office: Office, route: Route, away: Agent): Promise<Route> {
  const other = route.recipients.length === 1 ? await findEqual(office, away) : undefined;
  if (!other) return route;
  const rerouted = `${away.agent_id} is away; ${other.agent_id} is as able`;
  return { ...route, recipients: [other.agent_id], rerouted };
}

/** Another agent that is there and can do all that `agent` can; nobody is equal to an agent that says nothing of itself. */
async function findEqual(office: Office, agent: Agent): Promise<Agent | undefined> {
  if (agent.capabilities.length === 0) return undefined;
  const others = (await office.store.fleet.agents({})).map((it) => presentAgent(office, it));
  const able = others.filter(
    (it) => it.agent_id !== agent.agent_id && it.health === "alive" && isAble(it, agent.capabilities),
  );
  return pick(office, able);
}
