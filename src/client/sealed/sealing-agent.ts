import { BusError } from "../../contract/errors.ts";
import type { AgentId } from "../../contract/messages.ts";
import type { Output } from "../../contract/operations.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import type { Recipient } from "../../crypto/sealed/encryption.ts";
import { fingerprint } from "../../crypto/sealed/keys.ts";
import type { RemoteBus } from "../remote-bus.ts";
import type { KeyStore } from "./key-store.ts";

/** An agent that seals what it sends and opens what it gets: its name, its keys, and the bus, which sees neither. */
export type SealingAgent = {
  readonly agent_id: AgentId;
  readonly keys: KeyStore;
  readonly bus: Pick<
    RemoteBus,
    "sendMessage" | "searchMessages" | "getConversation" | "registerAgent" | "listAgents" | "getAgent" | "getAgentKeys"
  >;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
};

/**
 * The keys to seal with for an agent: those that the registry shows, where they are the ones that are trusted. Without a server
 * those seen last, so that an outbox can be filled.
 *
 * @throws BusError `key_unknown`, `key_changed`, `agent_not_found`, and `invalid_input` for an alias
 */
export async function lookUpKeys({ bus, keys }: SealingAgent, agent_id: AgentId): Promise<PublicKeys> {
  try {
    const published = await bus.getAgentKeys({ agent_id });
    // Who could answer with another agent's name could have everything sealed for that one.
    if (published.agent_id !== agent_id) throw aliasNamed(agent_id, published.agent_id);
    await keys.verify(agent_id, published.keys);
    return published.keys;
  } catch (error) {
    const [trusted] = isUnreachable(error) ? await keys.trusted(agent_id) : [];
    if (trusted) return trusted;
    throw error;
  }
}

/**
 * The same of many, in one question. The agent itself is among the recipients, so that it can read what it sent.
 *
 * @param pick Which of all registered agents.
 */
export async function lookUpMany(
  agent: SealingAgent,
  { names, group }: { readonly names?: readonly AgentId[]; readonly group?: string },
): Promise<readonly Recipient[]> {
  const { agents } = await agent.bus.listAgents(group === undefined ? {} : { group });
  const listed = new Map(agents.map((it) => [it.agent_id, it.keys]));
  const others = (names ?? [...listed.keys()]).filter((it) => it !== agent.agent_id);
  const missing = others.filter((it) => listed.get(it) === undefined);
  if (missing.length > 0) {
    throw new BusError("key_unknown", `nothing can be sealed for ${missing.join(", ")}: no keys are published`);
  }
  const recipients = others.flatMap((agent_id) => {
    const keys = listed.get(agent_id);
    return keys ? [{ agent_id, keys }] : [];
  });
  for (const { agent_id, keys } of recipients) await agent.keys.verify(agent_id, keys);
  return recipients;
}

/**
 * What the registry shows for an agent, with the fingerprint of those very keys: one that only stood beside them in the answer could
 * be that of others.
 */
export async function withOwnFingerprint(shown: Output<"getAgentKeys">): Promise<Output<"getAgentKeys">> {
  return { ...shown, fingerprint: await fingerprint(shown.keys) };
}

function aliasNamed(alias: AgentId, agent_id: AgentId): BusError {
  return new BusError("invalid_input", `${alias} is another name of ${agent_id}; seal for an agent under its own id`);
}

function isUnreachable(error: unknown): boolean {
  return error instanceof BusError && error.code === "unreachable";
}
