import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { AgentId, ConversationId } from "../contract/messages.ts";
import type { Input } from "../contract/operations.ts";
import { actorOf } from "./agents.ts";
import { actsAs, readsAs } from "./guard.ts";
import { requireConversation } from "./history.ts";
import type { Call, Mailroom } from "./mailroom.ts";
import type { Office } from "./office.ts";

type ConversationOperations = Pick<
  Mailroom,
  "createConversation" | "listConversations" | "getConversation" | "updateConversation"
>;

type Place = { readonly last_activity: string; readonly id: ConversationId };

export function conversationOperations(office: Office): ConversationOperations {
  const { conversations } = office.store;
  return {
    async createConversation({ participants, sealed }, call) {
      const ids = await Promise.all(participants.map((name) => canonical(office, name)));
      const only = actsAs(call);
      if (only && !ids.includes(only)) {
        throw new BusError("forbidden", `this token is ${only}'s; it opens conversations that ${only} takes part in`);
      }
      return conversations.open({
        id: office.newId() as ConversationId,
        participants: [...new Set(ids)].sort(),
        sealed,
        actor: actorOf(call),
      });
    },

    async listConversations(input, call) {
      const limit = input.limit ?? limits.default_page;
      const participant = await participantOf(office, input.participant, call);
      const after = placeOf(office, input);
      const rows = await conversations.conversations({
        // One more than asked for tells whether there is another page.
        limit: limit + 1,
        ...(participant && { participant }),
        ...(input.status && { status: input.status }),
        ...(after && { after }),
      });
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      if (rows.length <= limit || !last) return { conversations: page };
      const place = [last.last_activity, last.id];
      return { conversations: page, next_cursor: office.cursors.encode(input, place) };
    },

    async getConversation({ conversation_id }, call) {
      return requireConversation(office, conversation_id, readsAs(call));
    },

    async updateConversation({ conversation_id, status }, call) {
      const before = await requireConversation(office, conversation_id, actsAs(call));
      return (await conversations.changeStatus(conversation_id, status, actorOf(call))) ?? before;
    },
  };
}

async function participantOf(office: Office, named: AgentId | undefined, call: Call): Promise<AgentId | undefined> {
  const participant = named && (await canonical(office, named));
  const only = readsAs(call);
  if (only === undefined || participant === undefined || participant === only) return participant ?? only;
  throw new BusError("forbidden", `this token is ${only}'s; it cannot list the conversations of ${participant}`);
}

/** An alias becomes the agent's id; a name that nobody has registered stands for itself, as a sender's may. */
async function canonical({ store }: Office, name: AgentId): Promise<AgentId> {
  return (await store.fleet.agent(name))?.agent_id ?? name;
}

function placeOf(office: Office, input: Input<"listConversations">): Place | undefined {
  if (input.cursor === undefined) return undefined;
  const place = office.cursors.decode(input, input.cursor);
  if (Array.isArray(place) && typeof place[0] === "string" && typeof place[1] === "string") {
    return { last_activity: place[0], id: place[1] as ConversationId };
  }
  throw new BusError("invalid_cursor", "this cursor was made for another question; ask it again from the start");
}
