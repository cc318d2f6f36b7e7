import { Type } from "typebox";
import { Check } from "typebox/value";
import { toTimestamp } from "../../base/time.ts";
import type { Conversation } from "../../contract/conversations.ts";
import { BusError } from "../../contract/errors.ts";
import type { AgentId, ConversationId, Message } from "../../contract/messages.ts";
import { MessageId } from "../../contract/messages.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import { SealedToAgents } from "../../contract/sealed.ts";
import {
  type ConversationKey,
  fitsMembers,
  openConversationKey,
  sealConversationKey,
} from "../../crypto/sealed/conversation-key.ts";
import type { Recipient } from "../../crypto/sealed/encryption.ts";
import { type AgentKeys, publicKeysOf } from "../../crypto/sealed/keys.ts";
import type { SealedPayload } from "../../crypto/sealed/seal.ts";
import { newMessageId } from "../new-id.ts";
import { lookUpMany, type SealingAgent } from "./sealing-agent.ts";

/*
 * The keys of sealed conversations. Each sender has a key of its own for each conversation, so that nobody has to agree with
 * anybody: it goes to every member as a sealed message of the conversation, and a new one is made when members or their keys
 * have changed. Readers keep keys in memory; after a start they are found again in the conversation itself.
 */

/** A sealed message whose payload is a conversation's key, and nothing for people. */
const carrierField = "hivepost.conversation_key";
const strict = { additionalProperties: false } as const;
const Carrier = Type.Object(
  {
    content: Type.Literal(""),
    metadata: Type.Object(
      {
        [carrierField]: Type.Object(
          { id: MessageId, epoch: Type.Integer({ minimum: 1 }), sealed: SealedToAgents },
          strict,
        ),
      },
      strict,
    ),
  },
  strict,
);

/** Far below the 2^32 that NIST SP 800-38D, section 8.3, allows for random nonces. */
const most_messages = 2 ** 20;
const perMillisecond = 1_000;
/** Keys remembered of one maker for one conversation, and conversations and makers at most: what is forgotten is found again. */
const most_keys = 64;
const most_rings = 4_096;

export type ConversationKeys = {
  /**
   * This agent's key for what it sends into a conversation now; a new one is given to all members before it is used.
   *
   * @param hand Sends one member a sealed message of the conversation.
   */
  sendingKey(conversation: Conversation, hand: HandOver): Promise<ConversationKey>;
  /** Those that are known of a maker. */
  known(conversation_id: ConversationId, maker: AgentId): readonly ConversationKey[];
  keep(key: ConversationKey, maker: AgentId): void;
};

export type HandOver = (member: Recipient, payload: SealedPayload) => Promise<void>;

type InUse = { readonly key: ConversationKey; messages: number };

export function createConversationKeys(agent: SealingAgent): ConversationKeys {
  const rings = new Map<string, readonly ConversationKey[]>();
  const own = new Map<ConversationId, Promise<InUse>>();

  function known(conversation_id: ConversationId, maker: AgentId): readonly ConversationKey[] {
    return rings.get(`${conversation_id} ${maker}`) ?? [];
  }

  function keep(key: ConversationKey, maker: AgentId): void {
    const others = known(key.conversation_id, maker).filter((it) => it.kid !== key.kid);
    rings.set(`${key.conversation_id} ${maker}`, [key, ...others].slice(0, most_keys));
    forgetFirst(rings);
  }

  async function renewed(conversation: Conversation, before: InUse | undefined, hand: HandOver): Promise<InUse> {
    const members = await membersOf(agent, conversation);
    const published = members.map((it) => it.keys);
    if (before && before.messages < most_messages && (await fitsMembers(before.key, published))) return before;
    const key = await makeKey(agent, conversation.id, members, hand);
    keep(key, agent.agent_id);
    return { key, messages: 0 };
  }

  return {
    known,
    keep,
    async sendingKey(conversation, hand) {
      const { id } = conversation;
      // One after the other, so that two messages at once do not make two keys; who failed before is tried anew.
      const before = own.get(id)?.catch(() => undefined);
      const using = Promise.resolve(before).then((it) => renewed(conversation, it, hand));
      own.set(id, using);
      forgetFirst(own);
      const inUse = await using;
      inUse.messages += 1;
      return inUse.key;
    },
  };
}

function forgetFirst(map: Map<string, unknown>): void {
  const [first] = map.keys();
  if (map.size > most_rings && first !== undefined) map.delete(first);
}

/** The key that a sealed message's payload carries; undefined where it carries none. */
export async function openCarrier(
  payload: SealedPayload,
  carried: Pick<Message, "conversation_id" | "from_agent" | "timestamp">,
  keys: { readonly own_keys: readonly AgentKeys[]; readonly sender_keys: readonly PublicKeys[] },
): Promise<ConversationKey | undefined> {
  if (!Check(Carrier, payload)) return undefined;
  const { id, epoch, sealed } = payload.metadata[carrierField];
  const { conversation_id, from_agent, timestamp } = carried;
  return openConversationKey(sealed, { id, conversation_id, from_agent, timestamp, epoch }, keys);
}

/** All members with the keys that are trusted, this agent included. */
async function membersOf(agent: SealingAgent, { id, participants }: Conversation): Promise<readonly Recipient[]> {
  if (!participants.includes(agent.agent_id)) {
    throw new BusError("invalid_input", `${agent.agent_id} takes no part in the conversation ${id}`);
  }
  const own = publicKeysOf(await agent.keys.ensure(agent.agent_id));
  return [{ agent_id: agent.agent_id, keys: own }, ...(await lookUpMany(agent, { names: participants }))];
}

async function makeKey(
  agent: SealingAgent,
  conversation_id: ConversationId,
  members: readonly Recipient[],
  hand: HandOver,
): Promise<ConversationKey> {
  const { agent_id: from, now } = agent;
  const id = newMessageId();
  const sealed_at = toTimestamp(now());
  const epoch = newEpoch(now());
  const maker = await agent.keys.ensure(from);
  const { key, sealed } = await sealConversationKey({ id, conversation_id, epoch, from, members, sealed_at }, maker);
  const payload = { content: "", metadata: { [carrierField]: { id, epoch, sealed } } };
  await Promise.all(members.filter((it) => it.agent_id !== from).map((member) => hand(member, payload)));
  return key;
}

/** By the time, so that it grows over restarts; by chance, so that two processes of one agent do not meet. */
function newEpoch(now_ms: number): number {
  return now_ms * perMillisecond + Math.floor(Math.random() * perMillisecond);
}
