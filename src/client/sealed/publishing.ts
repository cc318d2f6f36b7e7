import { defined } from "../../base/defined.ts";
import { sameJson } from "../../base/json.ts";
import type { Agent } from "../../contract/agents.ts";
import { BusError } from "../../contract/errors.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import { type AgentKeys, fingerprint, publicKeysOf } from "../../crypto/sealed/keys.ts";
import type { SealingAgent } from "./sealing-agent.ts";

/**
 * Makes sure that the agent has keys and that the registry shows them; registers the agent where it is not yet.
 *
 * @returns The fingerprint of the keys.
 * @throws BusError `key_changed` where the registry shows keys that were never this agent's here
 */
export async function publishKeys(agent: SealingAgent): Promise<string> {
  const present = publicKeysOf(await agent.keys.ensure(agent.agent_id));
  const registered = await findAgent(agent);
  if (registered?.keys && sameJson(registered.keys, present)) return fingerprint(present);
  await requireOwn(agent, registered?.keys);
  return publish(agent, present, registered);
}

/**
 * Makes new keys and publishes them, whatever the registry shows now. The old ones stay for mail that is sealed for them, but for
 * those that were replaced before `kept_since_ms` (milliseconds since the Unix epoch).
 *
 * @returns The fingerprint of the new keys.
 */
export async function rotateOwnKeys(agent: SealingAgent, kept_since_ms: number): Promise<string> {
  const made: AgentKeys = await agent.keys.rotate(agent.agent_id);
  const shown = await publish(agent, publicKeysOf(made), await findAgent(agent));
  await agent.keys.forget(agent.agent_id, kept_since_ms);
  return shown;
}

async function publish({ bus, agent_id }: SealingAgent, keys: PublicKeys, before: Agent | undefined): Promise<string> {
  await bus.registerAgent({ ...(before && registrationOf(before)), agent_id, keys });
  return fingerprint(keys);
}

/** All that a registration would otherwise replace. */
function registrationOf(agent: Agent) {
  const { capabilities, groups, aliases, metadata, max_concurrency, location, program } = agent;
  return { capabilities, groups, aliases, metadata, ...defined({ max_concurrency, location, program }) };
}

async function findAgent({ bus, agent_id }: SealingAgent): Promise<Agent | undefined> {
  try {
    return await bus.getAgent({ agent_id });
  } catch (error) {
    if (error instanceof BusError && error.code === "agent_not_found") return undefined;
    throw error;
  }
}

/** A rotation may have been cut short before the new keys were published: the registry still shows earlier ones then. */
async function requireOwn({ keys, agent_id }: SealingAgent, shown: PublicKeys | undefined): Promise<void> {
  const own = await keys.keysOf(agent_id);
  if (shown === undefined || own.some((it) => sameJson(publicKeysOf(it), shown))) return;
  throw new BusError(
    "key_changed",
    `the registry shows the key ${await fingerprint(shown)} for ${agent_id}, which is none of those kept here; find out who published it, then replace it with: hivepost agent-keys rotate ${agent_id}`,
  );
}
