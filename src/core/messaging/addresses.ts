import type { Address, AgentId } from "../../contract/messages.ts";

/** An address as one line of text: what stands in `to_agent` of a message to more than one. */
export function addressText(address: Address): string {
  if ("group" in address) return `group:${address.group}`;
  if ("capability" in address) return `capability:${address.capability}`;
  return "broadcast";
}

/** Everyone a message is between: sender and recipients, sorted, none twice. */
export function participantsOf(from_agent: AgentId, recipients: readonly AgentId[]): AgentId[] {
  return [...new Set([from_agent, ...recipients])].sort();
}
