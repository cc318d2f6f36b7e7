import { systemClock } from "../base/clock.ts";
import { openKeyStore } from "../client/key-store-node.ts";
import { type ConversationKeys, createConversationKeys } from "../client/sealed/conversation-keys.ts";
import type { KeyStore } from "../client/sealed/key-store.ts";
import { openIfPossible, type Reading, withoutClaims } from "../client/sealed/opening.ts";
import { publishKeys } from "../client/sealed/publishing.ts";
import { sealMessage } from "../client/sealed/sealing.ts";
import { type SealingAgent, withOwnFingerprint } from "../client/sealed/sealing-agent.ts";
import { findKeysFolder } from "../client/settings-node.ts";
import type { AgentId, Message, NewMessage } from "../contract/messages.ts";
import type { Output } from "../contract/operations.ts";
import type { OperationName } from "../contract/routes.ts";
import { flagValue, UsageError } from "./arguments.ts";
import { ask, type ServerAddress } from "./call.ts";
import type { Run } from "./command.ts";

/** One agent on the command line: its keys from this machine, the bus by single requests. */
export function sealingAgent(agent_id: AgentId, server: ServerAddress, run: Run): SealingAgent {
  return { agent_id, keys: keysHere(run), bus: busOf(server, run), now: systemClock.now };
}

/** What `--seal` makes of the input of `send`. */
export async function sealInput(input: object, server: ServerAddress, run: Run): Promise<object> {
  const message = input as NewMessage;
  if (message.from_agent === undefined)
    throw new UsageError("--seal needs --from AGENT, whose keys are on this machine");
  const agent = sealingAgent(message.from_agent, server, run);
  // Whoever gets it has to find out who signed it.
  await publishKeys(agent);
  return sealMessage(agent, createConversationKeys(agent), message);
}

/**
 * An answer with every sealed message in it opened, where this machine has the keys of an agent that can. What the server says of
 * seals and fingerprints is replaced by what is found here.
 */
export async function openOutput(output: object, server: ServerAddress, run: Run): Promise<object> {
  const readers = createReaders(server, run);
  const open = (message: Message, names: readonly string[]) => openAsAny(readers, message, names);
  if ("fingerprint" in output) return withOwnFingerprint(output as Output<"getAgentKeys">);
  const { messages, deliveries, dead_letters } = output as {
    messages?: readonly Message[];
    deliveries?: readonly { agent_id: AgentId; message?: Message }[];
    dead_letters?: readonly { agent_id: AgentId; message: Message }[];
  };
  const openEach = <Row extends { agent_id: AgentId; message: Message }>(rows: readonly Row[]) =>
    Promise.all(rows.map(async (it) => ({ ...it, message: await open(it.message, [it.agent_id]) })));
  if (messages) return { ...output, messages: await Promise.all(messages.map((it) => open(it, []))) };
  if (dead_letters) return { ...output, dead_letters: await openEach(dead_letters) };
  // Of one message `deliveries` says how it stands with each recipient.
  if ("from_agent" in output) return open(output as Message, deliveries?.map((it) => it.agent_id) ?? []);
  return deliveries ? { ...output, deliveries: await openEach(deliveries as never) } : output;
}

type Reader = { readonly agent: SealingAgent; readonly ring: ConversationKeys };

/** An agent whose keys are here; undefined for all others. */
function createReaders(server: ServerAddress, run: Run): (name: string) => Promise<Reader | undefined> {
  const readers = new Map<string, Promise<Reader | undefined>>();
  const find = async (name: string): Promise<Reader | undefined> => {
    const agent = sealingAgent(name as AgentId, server, run);
    const own = await agent.keys.keysOf(agent.agent_id);
    return own.length > 0 ? { agent, ring: createConversationKeys(agent) } : undefined;
  };
  return (name) => {
    const known = readers.get(name) ?? find(name);
    readers.set(name, known);
    return known;
  };
}

/** As whoever got or sent it. */
async function openAsAny(
  readers: ReturnType<typeof createReaders>,
  message: Message,
  names: readonly string[],
): Promise<Message & Reading> {
  if (!message.sealed) return withoutClaims(message);
  const isAgent = !/^(group:|broadcast$)/.test(message.to_agent);
  let read: Message & Reading = { ...withoutClaims(message), unopened: nobodyHere };
  for (const name of new Set([...names, ...(isAgent ? [message.to_agent] : []), message.from_agent])) {
    const reader = await readers(name);
    if (!reader) continue;
    read = await openIfPossible(reader.agent, reader.ring, message);
    if (read.verified) return read;
  }
  return read;
}

const nobodyHere = {
  code: "key_unknown",
  reason: "this machine has the keys of no agent that could; name their folder with --keys-dir",
} as const;

function keysHere({ given, terminal }: Run): KeyStore {
  return openKeyStore(findKeysFolder(flagValue(given, "keys-dir"), terminal.environment), systemClock.now);
}

/** As far as sealing and opening asks. */
function busOf(server: ServerAddress, { signal }: Run): SealingAgent["bus"] {
  const call =
    <Name extends OperationName>(name: Name) =>
    // The client takes plain text where the contract has ids; the server checks both.
    (input: object) =>
      ask(server, name, input as never, signal);
  return {
    sendMessage: call("sendMessage"),
    searchMessages: call("searchMessages"),
    getConversation: call("getConversation"),
    registerAgent: call("registerAgent"),
    listAgents: call("listAgents"),
    getAgent: call("getAgent"),
    getAgentKeys: async (input) => withOwnFingerprint(await call("getAgentKeys")(input)),
  };
}
