import type { AgentId } from "../../src/contract/messages.ts";
import type { Judge } from "../support/checker.ts";

/** What is to be remembered of what went through the gate. */
export type Observations = {
  /** Is told when leases end that nobody asked to end. */
  readonly judge: Judge;
  /** How intents came out, all over the run: `publish accepted`, `acknowledge lease_lost`. */
  readonly met: Set<string>;
  /** Registered agents with their groups and capabilities, and whether that changed since it was last looked at. */
  readonly fleet: Map<AgentId, { readonly groups: readonly string[]; readonly capabilities: readonly string[] }>;
  hasFleetChanged: boolean;
  /** `message_id agent_id` of every death whose sender has not been told yet → when it died, wall time. */
  readonly owed: Map<string, number>;
  /** Whether the server has been killed since the run began. */
  wasKilled: boolean;
  /** Whether leases may have ended without a word in the ledger. */
  losesLeases: boolean;
};
