/** Tells whoever waits for an agent's mail that some may have come. A hint: the store decides who gets what. */
export type Announcer = {
  /** Calls every waiter of the agent. */
  wake(agent_id: string): void;
  /** Returns the way to stop waiting. */
  onMail(agent_id: string, waiter: () => void): () => void;
  /** How many wait for the agent. */
  waiters(agent_id: string): number;
};

export function createAnnouncer(): Announcer {
  const waiting = new Map<string, Set<() => void>>();
  return {
    wake(agent_id) {
      for (const waiter of [...(waiting.get(agent_id) ?? [])]) waiter();
    },
    onMail(agent_id, waiter) {
      const waiters = waiting.get(agent_id) ?? new Set();
      waiting.set(agent_id, waiters.add(waiter));
      return () => {
        waiters.delete(waiter);
        if (waiters.size === 0 && waiting.get(agent_id) === waiters) waiting.delete(agent_id);
      };
    },
    waiters: (agent_id) => waiting.get(agent_id)?.size ?? 0,
  };
}
