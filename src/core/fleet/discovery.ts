import type { Agent, Capability } from "../../contract/agents.ts";
import type { AgentId } from "../../contract/messages.ts";

/** An agent and how much waits for it. */
export type Candidate = { readonly agent: Agent; readonly waiting: number };

/** Whether `agent` can do all that is asked, at the level asked or above; a capability without a level is level 1. */
export function isAble(agent: Agent, wanted: readonly Capability[]): boolean {
  return wanted.every(({ name, level = 1 }) =>
    agent.capabilities.some((has) => has.name === name && (has.level ?? 1) >= level),
  );
}

/** The candidate to give a message to: the healthiest that takes work, then the one with least waiting, then by id. */
export function pickRecipient(candidates: readonly Candidate[]): Candidate | undefined {
  return [...candidates].sort(
    (a, b) => reluctance(a.agent) - reluctance(b.agent) || a.waiting - b.waiting || compareIds(a.agent, b.agent),
  )[0];
}

const reluctanceOfHealth = { alive: 0, suspect: 2, dead: 4 } as const;

function reluctance(agent: Agent): number {
  const takesWork = agent.status === "available" || agent.status === "busy";
  return reluctanceOfHealth[agent.health] + (takesWork ? 0 : 1);
}

function compareIds(a: { agent_id: AgentId }, b: { agent_id: AgentId }): number {
  return a.agent_id < b.agent_id ? -1 : 1;
}
