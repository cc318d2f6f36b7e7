import type { DatabaseSync } from "node:sqlite";
import type { FleetStore, KnownAgent } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { parseJson, sameJson } from "../../base/json.ts";
import { toTimestamp } from "../../base/time.ts";
import type { AgentRegistration } from "../../contract/agents.ts";
import type { AgentId } from "../../contract/messages.ts";
import type { StoreContext } from "./context.ts";
import { prepare } from "./statement.ts";
import { createTurns } from "./turns.ts";

/** Who is registered: on the disk, and all in memory. What agents say in heartbeats is in memory alone. */
export function fleetStore({ queue, clock }: StoreContext, agents: Map<AgentId, KnownAgent>): FleetStore {
  const inTurn = createTurns((agent_id) => agents.get(agent_id)?.aliases ?? []);

  function find(name: AgentId): KnownAgent | undefined {
    const byId = agents.get(name);
    if (byId) return byId;
    for (const agent of agents.values()) if (agent.aliases.includes(name)) return agent;
    return undefined;
  }

  function findTaken({ agent_id, aliases = [] }: AgentRegistration): { alias: AgentId; by: AgentId } | undefined {
    for (const alias of [agent_id, ...aliases]) {
      const by = find(alias)?.agent_id;
      if (by && by !== agent_id) return { alias, by };
    }
    return undefined;
  }

  async function register(
    given: AgentRegistration,
    actor: string,
    reason?: string,
  ): ReturnType<FleetStore["putAgent"]> {
    const taken = findTaken(given);
    if (taken) return { outcome: "alias_taken", ...taken };
    const now_ms = clock.now();
    const before = agents.get(given.agent_id);
    const registration = { ...given, ...defined({ keys: given.keys ?? before?.keys }) };
    const registered_at = before?.registered_at ?? toTimestamp(now_ms);
    const agent = { ...toAgent(registration, registered_at), last_seen_ms: clock.elapsed() };
    const changed = sameJson(agent.keys, before?.keys) ? undefined : { keys_changed: true as const };
    const keys_change = changed && defined({ reason });
    return queue.submit(
      { operation: "put_agent", now_ms, registered_at, registration, actor, ...defined({ keys_change }) },
      {
        apply() {
          agents.set(agent.agent_id, agent);
          return { outcome: "registered", agent, ...changed };
        },
      },
    );
  }

  async function remove(agent_id: AgentId, actor: string): Promise<boolean> {
    if (!agents.has(agent_id)) return false;
    return queue.submit(
      { operation: "remove_agent", now_ms: clock.now(), agent_id, actor },
      { apply: () => agents.delete(agent_id) },
    );
  }

  return {
    putAgent: (registration, actor, keys_reason) =>
      inTurn(registration.agent_id, registration.aliases ?? [], () => register(registration, actor, keys_reason)),
    removeAgent: (agent_id, actor) => inTurn(agent_id, [], () => remove(agent_id, actor)),
    agent: async (name) => find(name),

    async agents({ capability, group }) {
      return [...agents.values()]
        .filter((it) => capability === undefined || it.capabilities.some(({ name }) => name === capability))
        .filter((it) => group === undefined || it.groups.includes(group))
        .sort((a, b) => (a.agent_id < b.agent_id ? -1 : 1));
    },

    async touchAgent({ agent_id, ...said }) {
      const known = agents.get(agent_id);
      if (!known) return undefined;
      const agent = { ...known, ...said, last_seen_ms: clock.elapsed() };
      agents.set(agent_id, agent);
      return agent;
    },
  };
}

export function loadAgents(db: DatabaseSync): Map<AgentId, KnownAgent> {
  const rows = prepare<{ registered_at: string; registration: string }>(
    db,
    "SELECT registered_at, registration FROM agents",
  ).all();
  return new Map(
    rows.map((it) => {
      const registration = parseJson(it.registration) as AgentRegistration; // Written by us, from a registration.
      return [registration.agent_id, toAgent(registration, it.registered_at)];
    }),
  );
}

function toAgent(registration: AgentRegistration, registered_at: string): KnownAgent {
  const { agent_id, capabilities = [], groups = [], aliases = [], metadata = {}, ...rest } = registration;
  return {
    ...rest,
    agent_id,
    capabilities,
    groups,
    aliases: [...new Set(aliases)].filter((it) => it !== agent_id),
    metadata,
    registered_at,
    status: "available",
  };
}
