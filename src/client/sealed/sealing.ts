import { isOrdinaryJson } from "../../base/json.ts";
import { toTimestamp } from "../../base/time.ts";
import type { Conversation } from "../../contract/conversations.ts";
import { BusError } from "../../contract/errors.ts";
import { limits } from "../../contract/limits.ts";
import type { AgentId, MessageId, NewMessage } from "../../contract/messages.ts";
import type { Sealed } from "../../contract/sealed.ts";
import { sealWithConversationKey } from "../../crypto/sealed/conversation-key.ts";
import type { Recipient } from "../../crypto/sealed/encryption.ts";
import { publicKeysOf } from "../../crypto/sealed/keys.ts";
import { type SealedPayload, seal } from "../../crypto/sealed/seal.ts";
import { newMessageId } from "../new-id.ts";
import type { Plain } from "../plain.ts";
import type { ConversationKeys, HandOver } from "./conversation-keys.ts";
import { lookUpKeys, lookUpMany, type SealingAgent } from "./sealing-agent.ts";

/** A message as it may be sent, put into an outbox or sent again: its content is in the seal alone. */
export type SealedNewMessage = Omit<NewMessage, "content" | "metadata"> & {
  readonly id: MessageId;
  readonly from_agent: AgentId;
  readonly sealed: Sealed;
};

/** All of a message but its content. */
type Outside = Omit<SealedNewMessage, "sealed">;

/**
 * Seals a message for whom it is addressed to: in a sealed conversation with the sender's key for it, else for each recipient. The
 * sender can open it as well. One that is sealed already stays as it is.
 *
 * @throws BusError `key_unknown` where a recipient has published no keys, `key_changed` where they are not those trusted,
 *   `invalid_input` for what cannot be sealed
 */
export async function sealMessage(
  agent: SealingAgent,
  keys: ConversationKeys,
  given: Plain<NewMessage>,
): Promise<SealedNewMessage> {
  // The server checks the fields; here they are passed on.
  const { content, metadata = {}, ...rest } = given as NewMessage;
  const outside: Outside = { ...rest, id: rest.id ?? newMessageId(), from_agent: agent.agent_id };
  if (rest.sealed) return { ...outside, sealed: rest.sealed };
  requireOwn(agent, rest.from_agent);
  if (content === undefined) throw new BusError("invalid_input", "there is no content to seal");
  if (!isOrdinaryJson(metadata, limits.metadata_depth)) {
    throw new BusError(
      "invalid_input",
      `metadata nests deeper than ${limits.metadata_depth} levels, or has a field __proto__ or a number that no JSON can hold`,
    );
  }
  const conversation =
    rest.conversation_id && (await agent.bus.getConversation({ conversation_id: rest.conversation_id }));
  const payload = { content, metadata };
  if (conversation && conversation.id !== rest.conversation_id) {
    throw new BusError(
      "invalid_input",
      `the server answers with another conversation, ${conversation.id}: nothing is sealed for it`,
    );
  }
  const sealed = conversation?.sealed
    ? await sealInto(agent, keys, { conversation, outside, payload })
    : await sealFor(agent, { outside, payload, recipients: await recipientsOf(agent, outside) });
  return { ...outside, sealed };
}

async function sealFor(
  agent: SealingAgent,
  { outside, payload, recipients }: { outside: Outside; payload: SealedPayload; recipients: readonly Recipient[] },
): Promise<Sealed> {
  const sender = await agent.keys.ensure(agent.agent_id);
  const own = { agent_id: agent.agent_id, keys: publicKeysOf(sender) };
  const { id: message_id, conversation_id } = outside;
  const envelope = { message_id, from: agent.agent_id, to: addressOf(outside), sealed_at: toTimestamp(agent.now()) };
  const readers = [own, ...recipients.filter((it) => it.agent_id !== agent.agent_id)];
  return seal({ ...envelope, ...(conversation_id && { conversation_id }), recipients: readers, payload }, sender);
}

async function sealInto(
  agent: SealingAgent,
  keys: ConversationKeys,
  { conversation, outside, payload }: { conversation: Conversation; outside: Outside; payload: SealedPayload },
): Promise<Sealed> {
  const key = await keys.sendingKey(conversation, handOver(agent, conversation));
  const envelope = { message_id: outside.id, from: agent.agent_id, to: addressOf(outside) };
  const sender = await agent.keys.ensure(agent.agent_id);
  return sealWithConversationKey({ ...envelope, sealed_at: toTimestamp(agent.now()), payload }, key, sender);
}

/** Goes before everything else in the member's inbox, since what follows cannot be opened without. */
function handOver(agent: SealingAgent, { id: conversation_id }: Conversation): HandOver {
  return async (member, payload) => {
    const outside = {
      id: newMessageId(),
      from_agent: agent.agent_id,
      to_agent: member.agent_id,
      conversation_id,
      message_type: "status",
      priority: "urgent",
    } as const;
    await agent.bus.sendMessage({
      ...outside,
      sealed: await sealFor(agent, { outside, payload, recipients: [member] }),
    });
  };
}

async function recipientsOf(agent: SealingAgent, { to_agent, to }: Outside): Promise<readonly Recipient[]> {
  if (to_agent === agent.agent_id) return [];
  if (to_agent !== undefined) return [{ agent_id: to_agent, keys: await lookUpKeys(agent, to_agent) }];
  return lookUpMany(agent, to && "group" in to ? { group: to.group } : {});
}

/** As the bus will show it in `to_agent`. */
function addressOf({ to_agent, to }: Outside): string {
  if (to_agent !== undefined) return to_agent;
  if (to && "group" in to) return `group:${to.group}`;
  if (to && "broadcast" in to) return "broadcast";
  throw new BusError("invalid_input", "a sealed message goes to an agent, a group or everyone: it is sealed for them");
}

function requireOwn({ agent_id }: SealingAgent, from_agent: AgentId | undefined): void {
  if (from_agent === undefined || from_agent === agent_id) return;
  throw new BusError("invalid_input", `only ${from_agent} can seal as ${from_agent}; the keys here are ${agent_id}'s`);
}
