import type { AgentId } from "../../contract/messages.ts";
import type { Scope } from "../../contract/operation.ts";
import type { Provenance, TokenKind } from "../../contract/provenance.ts";

/** What of a caller decides where its messages come from. */
export type Sender = {
  readonly actor: string;
  readonly scopes: readonly Scope[];
  /** The agent that its token is bound to. */
  readonly agent_id?: AgentId;
};

/** Of a message that this caller sends now: only the owner of the token speaks for itself. */
export function provenanceOfSent(sender: Sender, from_agent: AgentId): Provenance {
  const trust = sender.agent_id === from_agent ? "agent" : "operator";
  return { actor: sender.actor, token: tokenKindOf(sender), trust };
}

/** Of history that this caller imports: who said it and when is no more than a claim. */
export function provenanceOfImported(sender: Sender): Provenance {
  return { actor: sender.actor, token: tokenKindOf(sender), trust: "imported" };
}

function tokenKindOf({ scopes }: Sender): TokenKind {
  if (scopes.includes("admin")) return "admin";
  return scopes.includes("operate") ? "operate" : "agent";
}
