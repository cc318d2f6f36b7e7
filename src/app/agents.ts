import { toTimestamp } from "../base/time.ts";
import type { Agent, AgentRegistration } from "../contract/agents.ts";
import { BusError } from "../contract/errors.ts";
import type { AgentId } from "../contract/messages.ts";
import { healthOf } from "../core/fleet/health.ts";
import { actsAs } from "./guard.ts";
import type { Call, Mailroom } from "./mailroom.ts";
import { operator, postmaster, sendDeathNotices } from "./notices.ts";
import { endLeasesOf, type Office } from "./office.ts";
import type { KnownAgent } from "./ports.ts";

type AgentOperations = Pick<Mailroom, "registerAgent" | "listAgents" | "getAgent" | "removeAgent" | "heartbeat">;

export function agentOperations(office: Office): AgentOperations {
  const { fleet, deliveries } = office.store;
  return {
    async registerAgent(registration, call) {
      requireFreeNames(office, registration, call);
      const outcome = await fleet.putAgent(registration, actorOf(call));
      if (outcome.outcome === "registered") return presentAgent(office, outcome.agent);
      throw new BusError(
        "alias_taken",
        `the name ${outcome.alias} already means the agent ${outcome.by}; choose another, or remove it there first`,
      );
    },

    async listAgents({ health, ...filter }) {
      const agents = (await fleet.agents(filter)).map((it) => presentAgent(office, it));
      return { agents: health ? agents.filter((it) => it.health === health) : agents };
    },

    async getAgent({ agent_id }) {
      return presentAgent(office, await requireAgent(office, agent_id));
    },

    async removeAgent({ agent_id }, call) {
      const agent = await requireAgent(office, agent_id);
      await fleet.removeAgent(agent.agent_id, actorOf(call));
      const reason = `the agent ${agent.agent_id} was removed`;
      const deaths = await deliveries.retire(agent.agent_id, reason, actorOf(call));
      endLeasesOf(office, agent.agent_id);
      await sendDeathNotices(office, deaths);
      return { removed: true as const, dead: deaths.length };
    },

    async heartbeat(heartbeat) {
      const agent = await requireAgent(office, heartbeat.agent_id);
      const touched = await fleet.touchAgent({ ...heartbeat, agent_id: agent.agent_id });
      return presentAgent(office, touched ?? agent);
    },
  };
}

/**
 * An agent gives itself no name under which another one has a token, or under which operators and the bus write: what is sent
 * to that one, or answered, would come to it.
 */
function requireFreeNames({ access }: Office, { aliases = [] }: AgentRegistration, call: Call): void {
  const only = actsAs(call);
  if (only === undefined) return;
  const taken = aliases.find((it) => it !== only && (it === operator || it === postmaster || access.isHeld(it)));
  if (taken === undefined) return;
  throw new BusError("alias_taken", `the name ${taken} already means somebody else; choose another`);
}

export function actorOf({ caller }: Call): string {
  return caller.actor;
}

/** By id or alias. @throws BusError `agent_not_found` */
export async function requireAgent({ store }: Office, name: AgentId): Promise<KnownAgent> {
  const agent = await store.fleet.agent(name);
  if (agent) return agent;
  throw new BusError("agent_not_found", `no agent is called ${name}; register it with PUT /agents/${name}`);
}

/** The agent as the world sees it: with its health, judged now. A waiting or subscribed agent is alive by being there. */
export function presentAgent(office: Office, { last_seen_ms, ...agent }: KnownAgent): Agent {
  const elapsed_ms = office.clock.elapsed();
  const connected = office.announcer.waiters(agent.agent_id) > 0;
  const silence_ms = connected ? 0 : elapsed_ms - (last_seen_ms ?? office.opened_at_ms);
  const health = healthOf(silence_ms, office.config);
  const seen_ago_ms = connected ? 0 : last_seen_ms === undefined ? undefined : silence_ms;
  return {
    ...agent,
    // Right after a start nobody has been heard of yet, which is no reason to call everybody well or gone.
    health: seen_ago_ms === undefined && health === "alive" ? "suspect" : health,
    ...(seen_ago_ms === undefined ? {} : { last_seen_at: toTimestamp(office.clock.now() - seen_ago_ms) }),
  };
}
