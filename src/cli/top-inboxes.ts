import type { Client } from "../client/client.ts";
import type { Agent } from "../contract/agents.ts";
import { BusError } from "../contract/errors.ts";
import type { AgentId, Inbox } from "../contract/messages.ts";

export type WatchedAgent = { readonly agent: Agent; readonly inbox: Inbox | undefined };

/** What is known of the agents' inboxes, refreshed a part at a time. */
export type InboxWatch = { read(agents: readonly Agent[]): Promise<readonly WatchedAgent[]> };

const width = 32;

/**
 * Reads at most `budget` inboxes at each look: first those that held mail at the last, then the others in turn.
 *
 * @returns All agents, those with the most waiting mail first, then those heard of last.
 */
export function createInboxWatch(client: Pick<Client, "getInbox">, budget: number): InboxWatch {
  const known = new Map<AgentId, Inbox>();
  let turn = 0;

  function chosen(agents: readonly Agent[]): AgentId[] {
    const ids = agents.map((it) => it.agent_id);
    const holding = ids.filter((id) => (known.get(id)?.total ?? 0) > 0).slice(0, budget);
    const others = ids.filter((id) => !holding.includes(id));
    const share = Math.min(others.length, budget - holding.length);
    const inTurn = Array.from({ length: share }, (_, i) => others[(turn + i) % others.length] ?? "");
    turn += share;
    return [...holding, ...inTurn].filter((it): it is AgentId => it !== "");
  }

  async function readAll(ids: readonly AgentId[]): Promise<void> {
    const left = [...ids];
    const lane = async () => {
      for (let agent_id = left.pop(); agent_id !== undefined; agent_id = left.pop()) {
        const inbox = await client.getInbox({ agent_id }).catch(undefinedIfGone);
        if (inbox) known.set(agent_id, inbox);
        else known.delete(agent_id);
      }
    };
    await Promise.all(Array.from({ length: width }, lane));
  }

  return {
    async read(agents) {
      await readAll(chosen(agents));
      return agents.map((agent) => ({ agent, inbox: known.get(agent.agent_id) })).sort(byNeed);
    },
  };
}

function byNeed(a: WatchedAgent, b: WatchedAgent): number {
  const waiting = (b.inbox?.total ?? 0) - (a.inbox?.total ?? 0);
  return waiting || (b.agent.last_seen_at ?? "").localeCompare(a.agent.last_seen_at ?? "");
}

/** Removed between the list and the look. */
function undefinedIfGone(error: unknown): undefined {
  if (!(error instanceof BusError) || error.code !== "agent_not_found") throw error;
}
