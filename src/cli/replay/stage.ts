import type { Client } from "../../client/client.ts";
import { BusError } from "../../contract/errors.ts";
import type { AgentId, ConversationId } from "../../contract/messages.ts";
import { inLanes } from "./lanes.ts";
import { isTooLarge, type Survey } from "./survey.ts";

/** What the agents of a replay say they run, so that a later replay knows them as its own to replace. */
const program = "hivepost replay";
/** Requests under way at a time. */
const width = 256;

/** Conversations as the log calls them → those opened for this replay; one too large for the bus has none. */
export type Conversations = ReadonlyMap<string, ConversationId>;

/**
 * Registers the agents and opens a conversation for each recorded one.
 *
 * @throws BusError `alias_taken` where a name belongs to somebody real, whose mail a replay must not take.
 */
export async function setStage(client: Client, survey: Survey, onStep: (done: number) => void): Promise<Conversations> {
  await refuseRealAgents(client, survey);
  let done = 0;
  await inLanes(survey.names.agents, width, async (agent_id) => {
    await client.registerAgent({ agent_id, program });
    onStep(++done);
  });
  const opened = new Map<string, ConversationId>();
  await inLanes(survey.conversations, width, async ([name, participants]) => {
    if (isTooLarge(participants)) return;
    const { id } = await client.createConversation({ participants: [...participants] });
    opened.set(name, id);
    onStep(++done);
  });
  return opened;
}

async function refuseRealAgents(client: Client, survey: Survey): Promise<void> {
  const { agents } = await client.listAgents({});
  const real = agents
    .filter((agent) => agent.program !== program)
    .flatMap((agent): AgentId[] => [agent.agent_id, ...agent.aliases])
    .filter((name) => survey.names.agents.has(name));
  if (real.length === 0) return;
  throw new BusError(
    "alias_taken",
    `${real.slice(0, 5).join(", ")} ${real.length === 1 ? "is an agent" : "are agents"} of this hive already, and a replay ` +
      "would receive their mail; give the replayed ones another name with --prefix, e.g. --prefix replay-",
  );
}
