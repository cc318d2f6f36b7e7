import { toTimestamp } from "../base/time.ts";
import type { Agent, AgentRegistration } from "../contract/agents.ts";
import { BusError } from "../contract/errors.ts";
import type { AgentId } from "../contract/messages.ts";
import type { PublicKeys } from "../contract/public-keys.ts";
import { healthOf } from "../core/fleet/health.ts";
import { areGenuine, fingerprint } from "../crypto/sealed/keys.ts";
import { noteDone } from "./audited.ts";
import { actsAs } from "./guard.ts";
import type { Call, Mailroom } from "./mailroom.ts";
import { operator, postmaster, sendDeathNotices } from "./notices.ts";
import { endLeasesOf, type Office } from "./office.ts";
import type { KnownAgent } from "./ports.ts";

type AgentOperations = Pick<
  Mailroom,
  "registerAgent" | "listAgents" | "getAgent" | "getAgentKeys" | "removeAgent" | "heartbeat"
>;

export function agentOperations(office: Office): AgentOperations {
  const { fleet, deliveries } = office.store;
  return {
    async registerAgent(registration, call) {
      requireFreeNames(office, registration, call);
      const publishing = registration.keys && (await preparePublishing(office, registration.keys));
      const outcome = await fleet.putAgent(registration, actorOf(call), publishing?.reason);
      if (outcome.outcome === "registered") {
        if (outcome.keys_changed) await publishing?.note(outcome.agent.agent_id, call);
        return presentAgent(office, outcome.agent);
      }
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

    async getAgentKeys({ agent_id: name }) {
      const { agent_id, keys } = await requireAgent(office, name);
      if (keys) return { agent_id, keys, fingerprint: await fingerprint(keys) };
      throw new BusError(
        "key_unknown",
        `${agent_id} has published no keys, so nothing can be sealed for it; it publishes some with: hivepost agent-keys create ${agent_id}`,
      );
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

/** Keys never change in silence: an event says so to all who follow, and the audit log to those who ask later. */
async function preparePublishing({ audit, log }: Office, keys: PublicKeys) {
  if (!(await areGenuine(keys))) {
    throw new BusError("invalid_input", "keys: a `kid` is not the thumbprint (RFC 7638) of its key");
  }
  await audit.requireWritable();
  const shown = await fingerprint(keys);
  return {
    reason: `its fingerprint is ${shown}`,
    note: (agent_id: AgentId, { caller: { actor, key_id } }: Call) =>
      noteDone(
        { event: "agent_keys_changed", actor, key_id, detail: { agent_id, fingerprint: shown } },
        { audit, log },
      ),
  };
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
