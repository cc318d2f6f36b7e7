import type { FleetStore, KnownAgent } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { sameJson } from "../../base/json.ts";
import { toTimestamp } from "../../base/time.ts";
import type { AgentRegistration } from "../../contract/agents.ts";
import type { AgentId } from "../../contract/messages.ts";
import { type MemoryState, note } from "./state.ts";

export function fleetStore(state: MemoryState): FleetStore {
  return {
    async putAgent(registration, actor, keys_reason) {
      const taken = findTakenName(state, registration);
      if (taken) return { outcome: "alias_taken", ...taken };
      const { agent_id } = registration;
      const agent = enroll(state, registration);
      const keys_changed = !sameJson(agent.keys, state.agents.get(agent_id)?.keys);
      state.agents.set(agent_id, agent);
      note(state, { event: "agent_registered", actor, agent_id });
      if (!keys_changed) return { outcome: "registered", agent };
      note(state, { event: "agent_keys_changed", actor, agent_id, ...defined({ reason: keys_reason }) });
      return { outcome: "registered", agent, keys_changed };
    },

    async agent(name) {
      return findAgent(state, name);
    },

    async agents({ capability, group }) {
      return [...state.agents.values()]
        .filter((it) => capability === undefined || it.capabilities.some(({ name }) => name === capability))
        .filter((it) => group === undefined || it.groups.includes(group))
        .sort((a, b) => (a.agent_id < b.agent_id ? -1 : 1));
    },

    async removeAgent(agent_id, actor) {
      const removed = state.agents.delete(agent_id);
      if (removed) note(state, { event: "agent_removed", actor, agent_id });
      return removed;
    },

    async touchAgent({ agent_id, ...said }) {
      const known = state.agents.get(agent_id);
      if (!known) return undefined;
      const agent = { ...known, ...said, last_seen_ms: state.clock.elapsed() };
      state.agents.set(agent_id, agent);
      return agent;
    },
  };
}

function findAgent(state: MemoryState, name: AgentId): KnownAgent | undefined {
  return state.agents.get(name) ?? [...state.agents.values()].find((it) => it.aliases.includes(name));
}

function findTakenName(
  state: MemoryState,
  { agent_id, aliases = [] }: AgentRegistration,
): { alias: AgentId; by: AgentId } | undefined {
  for (const alias of [agent_id, ...aliases]) {
    const by = findAgent(state, alias)?.agent_id;
    if (by && by !== agent_id) return { alias, by };
  }
  return undefined;
}

function enroll(state: MemoryState, registration: AgentRegistration): KnownAgent {
  const { agent_id, capabilities = [], groups = [], aliases = [], metadata = {}, ...rest } = registration;
  const before = state.agents.get(agent_id);
  return {
    ...rest,
    ...defined({ keys: registration.keys ?? before?.keys }),
    agent_id,
    capabilities,
    groups,
    aliases: [...new Set(aliases)].filter((it) => it !== agent_id),
    metadata,
    registered_at: before?.registered_at ?? toTimestamp(state.clock.now()),
    status: "available",
    last_seen_ms: state.clock.elapsed(),
  };
}
