import type { AgentId } from "../contract/messages.ts";
import { jsonLine } from "../core/rendering/visible.ts";
import { UsageError } from "./arguments.ts";
import { ask, findServer, serverFlags } from "./call.ts";
import type { Command, Run } from "./command.ts";
import { keysFlag } from "./keys-flag.ts";
import { programName } from "./program-name.ts";

/*
 * The keys of this machine's agents, and which keys of others are trusted here. `agent-keys show` is an operation of the bus.
 */

const flags = [keysFlag, ...serverFlags];
/** How long replaced keys are kept for mail that is sealed for them. */
const kept_ms = 30 * 86_400_000;

export const createAgentKeysCommand: Command = {
  name: "agent-keys create",
  summary: "Make an agent's keys for sealed messages, where it has none here, and publish them.",
  usage: "<agent-id>",
  flags,
  examples: [
    ["agent-keys create bob", "others can now seal for bob; prints the fingerprint that bob reads out to them"],
  ],
  run: async (run) => {
    const { publishKeys } = await import("../client/sealed/publishing.ts");
    const agent = await agentOf(run, 1);
    return print(run, agent.agent_id, await publishKeys(agent));
  },
};

export const rotateAgentKeysCommand: Command = {
  name: "agent-keys rotate",
  summary: "Give an agent new keys and publish them; the old ones are kept 30 days for mail that is under way.",
  usage: "<agent-id>",
  flags,
  examples: [["agent-keys rotate bob", "who writes to bob has to trust the new keys before anything more is sealed"]],
  run: async (run) => {
    const { rotateOwnKeys } = await import("../client/sealed/publishing.ts");
    const agent = await agentOf(run, 1);
    return print(run, agent.agent_id, await rotateOwnKeys(agent, agent.now() - kept_ms));
  },
};

export const trustAgentKeysCommand: Command = {
  name: "agent-keys trust",
  summary: "Trust the keys that an agent has published, once their fingerprint is the one that it read out.",
  usage: "<agent-id> <fingerprint>",
  flags,
  examples: [
    [
      "agent-keys trust bob BDD7-AWQ2-AEWV-XZM6-D632-A5AO-MUIM-IUI3",
      "compared with what bob said by another way than this bus",
    ],
  ],
  run: async (run) => {
    const agent = await agentOf(run, 2);
    const named = run.given.words[1]?.text ?? "";
    const { keys, fingerprint, agent_id } = await agent.bus.getAgentKeys({ agent_id: agent.agent_id });
    if (named.toUpperCase() !== fingerprint || agent_id !== agent.agent_id) {
      throw new Error(`not trusted: the registry shows ${fingerprint} for ${agent_id}, not ${named}`);
    }
    await agent.keys.trust(agent_id, keys);
    return print(run, agent_id, fingerprint);
  },
};

async function agentOf(run: Run, words: number) {
  const [agent] = run.given.words;
  if (!agent || run.given.words.length !== words) {
    const fingerprint =
      words === 2
        ? ` and the fingerprint that it read out; ${programName} agent-keys show tells the one published`
        : "";
    throw new UsageError(`name the agent${fingerprint}`);
  }
  const { sealingAgent } = await import("./sealing.ts");
  const server = await findServer(run.given, run.terminal);
  await ask(server, "health", {}, run.signal);
  return sealingAgent(agent.text as AgentId, server, run);
}

function print({ json, terminal }: Run, agent_id: AgentId, fingerprint: string): 0 {
  terminal.stdout.write(json ? `${jsonLine({ agent_id, fingerprint })}\n` : `${agent_id}  ${fingerprint}\n`);
  return 0;
}
