import { limits } from "../../contract/limits.ts";
import type { AgentId } from "../../contract/messages.ts";

export type AgentNames = {
  /** The agent that a recorded name plays; the same name is always the same agent. */
  agentOf(name: string): AgentId;
  readonly agents: ReadonlySet<AgentId>;
  readonly names: number;
};

/**
 * Gives every recorded name an agent id of its own: the name itself where it is a valid id, else what is left of it with
 * a number where two would come out alike. With `agents`, the names share that many agents in turn.
 */
export function assignAgents({ prefix, agents: count }: { prefix: string; agents?: number | undefined }): AgentNames {
  const byName = new Map<string, AgentId>();
  const taken = new Set<AgentId>();
  const ownId = createOwnIds(taken);
  return {
    agentOf(name) {
      const known = byName.get(name);
      if (known !== undefined) return known;
      const agent = count === undefined ? ownId(prefix + name) : numbered(prefix, (byName.size % count) + 1, count);
      taken.add(agent);
      byName.set(name, agent);
      return agent;
    },
    agents: taken,
    get names() {
      return byName.size;
    },
  };
}

/** Ids that nobody has taken yet. */
function createOwnIds(taken: ReadonlySet<AgentId>): (name: string) => AgentId {
  const lastSuffix = new Map<string, number>();
  return (name) => {
    const wanted = toAgentId(name);
    for (let suffix = (lastSuffix.get(wanted) ?? 0) + 1; ; suffix++) {
      const tail = suffix === 1 ? "" : `-${suffix}`;
      // The characters and the length are those of an agent's id.
      const candidate = (wanted.slice(0, limits.name_length - tail.length) + tail) as AgentId;
      if (taken.has(candidate)) continue;
      lastSuffix.set(wanted, suffix);
      return candidate;
    }
  };
}

function toAgentId(name: string): string {
  const plain = name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[^A-Za-z0-9._+-]+/g, "-");
  const started = plain.replace(/^[^A-Za-z0-9]+/, "");
  return (started || "agent").slice(0, limits.name_length);
}

function numbered(prefix: string, number: number, count: number): AgentId {
  // As above: digits, a dash and a prefix that has been made valid.
  return `${toAgentId(prefix || "replay-")}${String(number).padStart(String(count).length, "0")}` as AgentId;
}
