import type { AgentId } from "../../contract/messages.ts";

/**
 * Lets changes to the fleet run as if one by one, while those that have no name in common go into one commit together:
 * else registering a large fleet would cost a commit for each agent.
 *
 * @param aliasesOf The aliases that an agent has now.
 */
export function createTurns(aliasesOf: (agent_id: AgentId) => readonly AgentId[]) {
  /** Name → its latest change under way. */
  const busy = new Map<AgentId, Promise<unknown>>();
  /** Agent → every name that it has, gets or loses by the changes under way. */
  const touched = new Map<AgentId, ReadonlySet<AgentId>>();

  return function inTurn<Result>(
    agent_id: AgentId,
    aliases: readonly AgentId[],
    change: () => Promise<Result>,
  ): Promise<Result> {
    const names = new Set([agent_id, ...aliasesOf(agent_id), ...(touched.get(agent_id) ?? []), ...aliases]);
    touched.set(agent_id, names);
    const mine = Promise.all([...names].map((name) => busy.get(name))).then(change);
    const settled = mine.catch(() => undefined); // Its own caller hears of the error.
    for (const name of names) busy.set(name, settled);
    void settled.then(() => {
      for (const name of names) if (busy.get(name) === settled) busy.delete(name);
      if (touched.get(agent_id) === names) touched.delete(agent_id);
    });
    return mine;
  };
}
