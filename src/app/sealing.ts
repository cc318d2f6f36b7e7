import { BusError } from "../contract/errors.ts";
import type { AgentId, NewMessage } from "../contract/messages.ts";
import type { Sealed } from "../contract/sealed.ts";
import type { Office } from "./office.ts";

/*
 * Sealed messages pass unread. What can be asked of them all the same: that they name what their seal binds, and that whoever
 * gets one can open it.
 */

/** @throws BusError `invalid_input` for a message that says nothing or twice, or that its seal would not fit. */
export function requireSealable(input: NewMessage): void {
  const { sealed, content, metadata } = input;
  if ((sealed === undefined) === (content === undefined)) {
    throw new BusError("invalid_input", "say what to send by exactly one of `content` and `sealed`");
  }
  if (sealed === undefined) return;
  if (metadata !== undefined) {
    throw new BusError("invalid_input", "a sealed message has no metadata beside the seal; seal them with the content");
  }
  if (input.id === undefined || input.from_agent === undefined) {
    throw new BusError("invalid_input", "a sealed message names its `id` and `from_agent`: the seal is made for them");
  }
  if (!("recipients" in sealed) && input.conversation_id === undefined) {
    throw new BusError(
      "invalid_input",
      "a message under a conversation's key names its `conversation_id`: the seal is made for it",
    );
  }
  requireFixedRecipient(input);
}

/** A seal is made for its readers: the bus can pick no others. */
function requireFixedRecipient({ to, offline }: NewMessage): void {
  if (to && "capability" in to) {
    throw new BusError("invalid_input", "a sealed message goes to agents it is sealed for; name one, not a capability");
  }
  if (offline === "reroute") {
    throw new BusError("invalid_input", "a sealed message cannot be rerouted: no other agent could open it");
  }
}

/**
 * Asks the registry, at this moment, whether each recipient can open the message: its present key is among those it is sealed
 * for, or it takes part in the conversation whose key seals it.
 *
 * @throws BusError `sealed_for_others`
 */
export async function requireReaders(
  office: Office,
  sealed: Sealed,
  { recipients, conversation_id }: Pick<NewMessage, "conversation_id"> & { readonly recipients: readonly AgentId[] },
): Promise<void> {
  const isReader =
    "recipients" in sealed
      ? await holdsOneOf(office, new Set(sealed.recipients.map((it) => it.header.kid)))
      : await takesPart(office, conversation_id);
  for (const agent_id of recipients) {
    if (await isReader(agent_id)) continue;
    throw new BusError(
      "sealed_for_others",
      `${agent_id} could not open this message; look up the recipients and their keys, and seal it again for them`,
    );
  }
}

type IsReader = (agent_id: AgentId) => Promise<boolean>;

async function holdsOneOf({ store }: Office, kids: ReadonlySet<string>): Promise<IsReader> {
  return async (agent_id) => kids.has((await store.fleet.agent(agent_id))?.keys?.encryption.kid ?? "");
}

/** Of a conversation that does not exist the store tells. */
async function takesPart({ store }: Office, conversation_id: NewMessage["conversation_id"]): Promise<IsReader> {
  const conversation = conversation_id && (await store.conversations.conversation(conversation_id));
  return async (agent_id) => !conversation || conversation.participants.includes(agent_id);
}
