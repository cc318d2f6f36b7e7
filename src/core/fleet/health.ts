import type { Health } from "../../contract/agents.ts";

/** Silence in milliseconds after which an agent is suspect, and after which it counts as gone. */
export type HealthPolicy = { readonly alive_ms: number; readonly dead_ms: number };

/** How an agent is, judged by how long it has been silent. */
export function healthOf(silence_ms: number, policy: HealthPolicy): Health {
  if (silence_ms <= policy.alive_ms) return "alive";
  return silence_ms <= policy.dead_ms ? "suspect" : "dead";
}
