import { BusError, type ErrorCode } from "../../contract/errors.ts";
import type { AgentId, Message } from "../../contract/messages.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import type { ConversationKey } from "../../crypto/sealed/conversation-key.ts";
import { type AgentKeys, fingerprint, publicKeysOf } from "../../crypto/sealed/keys.ts";
import { type Opened, type OpeningKeys, open } from "../../crypto/sealed/open.ts";
import { type ConversationKeys, openCarrier } from "./conversation-keys.ts";
import type { SealingAgent } from "./sealing-agent.ts";

/** What was proven of an opened message. */
export type Verified = {
  /** Of the sender's keys, as they are trusted here. */
  readonly fingerprint: string;
  /** When the sender sealed it, by its own clock. */
  readonly sealed_at: string;
};

/** A message as it is read: `verified` where it was sealed and is opened, `unopened` where it cannot be. */
export type Reading = {
  readonly verified?: Verified;
  readonly unopened?: { readonly code: ErrorCode; readonly reason: string };
};

export type OpenedMessage<Of extends Message = Message> = {
  /** With its content and metadata. */
  readonly message: Of & Reading;
  /** Undefined where it was never sealed. */
  readonly opened?: Opened;
  /** What it carried in place of words: a key, which is kept already. */
  readonly key?: ConversationKey;
};

/** Rows on a page of history that is looked through for a conversation's keys, and such pages at most. */
const page = 500;
const most_pages = 5;

/**
 * Opens a sealed message; one that is not sealed stays as it is. Whoever is seen first as a sender is trusted from then on.
 *
 * @throws BusError `sealed_invalid`, `key_unknown`, `key_changed`, and what the registry answers
 */
export async function openMessage<Of extends Message>(
  agent: SealingAgent,
  ring: ConversationKeys,
  given: Of,
): Promise<OpenedMessage<Of>> {
  const message = withoutClaims(given);
  if (!message.sealed) return { message };
  const own_keys = await agent.keys.keysOf(agent.agent_id);
  const sender_keys = await keysOfSender(agent, message.from_agent, own_keys);
  const opened = await openWith(agent, ring, { message, own_keys, sender_keys });
  const verified = { fingerprint: await signerOf(opened, sender_keys), sealed_at: opened.sealed_at };
  const key = await openCarrier(opened.payload, message, { own_keys, sender_keys });
  if (!key) return { message: { ...message, ...opened.payload, verified }, opened };
  ring.keep(key, message.from_agent);
  return {
    message: { ...message, content: `(the key of the conversation ${key.conversation_id})`, verified },
    opened,
    key,
  };
}

/** The same for who reads on where one cannot be opened: it says why in `unopened`. */
export async function openIfPossible<Of extends Message>(
  agent: SealingAgent,
  ring: ConversationKeys,
  message: Of,
): Promise<Of & Reading> {
  try {
    return (await openMessage(agent, ring, message)).message;
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    return { ...withoutClaims(message), unopened: { code: error.code, reason: error.message } };
  }
}

/** What is proven of a message is found out here: a server's answer that says it already is not believed. */
export function withoutClaims<Of extends Message>(message: Of): Of {
  const { verified: _, unopened: __, ...answered } = message as Of & Reading;
  return answered as unknown as Of;
}

type Opening = Required<Pick<OpeningKeys, "own_keys" | "sender_keys">> & { readonly message: Message };

/** A conversation's key may be missing because this process has just begun: then it is in the history. */
async function openWith(agent: SealingAgent, ring: ConversationKeys, opening: Opening): Promise<Opened> {
  const { message, ...keys } = opening;
  const { conversation_id, from_agent } = message;
  const attempt = () =>
    open(message.sealed, message, { ...keys, conversation_keys: ring.known(conversation_id, from_agent) });
  try {
    return await attempt();
  } catch (error) {
    const isMissing = error instanceof BusError && error.code === "key_unknown" && !isToAgents(message);
    if (!isMissing) throw error;
    await findKeys(agent, ring, message);
    return attempt();
  }
}

/** Looks for the keys that a maker gave this agent for a conversation, the latest first. */
async function findKeys(
  agent: SealingAgent,
  ring: ConversationKeys,
  { conversation_id, from_agent }: Message,
): Promise<void> {
  const to_agent = from_agent === agent.agent_id ? {} : { to_agent: agent.agent_id };
  const query = { conversation_id, from_agent, ...to_agent, message_type: "status", limit: page } as const;
  for (let pages = 0, cursor: string | undefined; pages < most_pages; pages++) {
    const found = await agent.bus.searchMessages(cursor === undefined ? query : { ...query, cursor });
    for (const it of found.messages.filter(isToAgents)) await openIfPossible(agent, ring, it);
    cursor = found.next_cursor;
    if (cursor === undefined) return;
  }
}

function isToAgents({ sealed }: Message): boolean {
  return sealed !== undefined && "recipients" in sealed;
}

async function keysOfSender(
  { keys, bus, agent_id }: SealingAgent,
  sender: AgentId,
  own: readonly AgentKeys[],
): Promise<readonly PublicKeys[]> {
  if (sender === agent_id) return own.map(publicKeysOf);
  const trusted = await keys.trusted(sender);
  if (trusted.length > 0) return trusted;
  const published = await bus.getAgentKeys({ agent_id: sender });
  if (published.agent_id === sender) return keys.verify(sender, published.keys);
  throw new BusError("key_unknown", `the registry shows no keys of ${sender}, but of ${published.agent_id}`);
}

async function signerOf({ signed_by }: Opened, senderKeys: readonly PublicKeys[]): Promise<string> {
  const signer = senderKeys.find((it) => it.signing.kid === signed_by);
  // Its signature was checked with one of these.
  return signer ? fingerprint(signer) : "";
}
