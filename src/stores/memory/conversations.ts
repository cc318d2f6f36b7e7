import type { ConversationStore, Publication } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import type { Conversation, ConversationStatus } from "../../contract/conversations.ts";
import type { AgentId, ConversationId } from "../../contract/messages.ts";
import { type MemoryState, note, type StoredConversation } from "./state.ts";

export function conversationStore(state: MemoryState): ConversationStore {
  return {
    async open({ id, participants, actor, sealed }) {
      const known = state.conversations.get(id);
      const opening = { id, participants, actor, implicit: false, ...defined({ sealed }) };
      return toConversation(known ?? openConversation(state, opening));
    },

    async conversation(id) {
      const known = state.conversations.get(id);
      return known && toConversation(known);
    },

    async conversations({ participant, status, limit, after }) {
      return [...state.conversations.values()]
        .filter((it) => participant === undefined || it.participants.includes(participant))
        .filter((it) => status === undefined || it.status === status)
        .sort(latestFirst)
        .filter((it) => after === undefined || latestFirst(after, it) < 0)
        .slice(0, limit)
        .map(toConversation);
    },

    async changeStatus(id, status, actor) {
      const known = state.conversations.get(id);
      return known && toConversation(changeStatus(state, known, status, actor));
    },
  };
}

type Recency = Pick<Conversation, "last_activity" | "id">;

function latestFirst(a: Recency, b: Recency): number {
  return compare(b.last_activity, a.last_activity) || compare(b.id, a.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function toConversation({ implicit: _, ...conversation }: StoredConversation): Conversation {
  return conversation;
}

export function openConversation(
  state: MemoryState,
  opening: {
    readonly id: ConversationId;
    readonly participants: readonly AgentId[];
    readonly actor: string;
    readonly implicit: boolean;
    readonly at_ms?: number;
    readonly sealed?: true;
  },
): StoredConversation {
  const { id, actor, implicit, sealed } = opening;
  const created_at = toTimestamp(opening.at_ms ?? state.clock.now());
  const participants = sorted(opening.participants);
  const opened = { id, participants, created_at, last_activity: created_at, status: "active", implicit } as const;
  note(state, { event: "conversation_opened", actor, conversation_id: id });
  return keep(state, { ...opened, ...defined({ sealed }) });
}

/** The latest of the active conversations between exactly these, among those opened by a message that named none. */
export function findImplicit(state: MemoryState, participants: readonly AgentId[]): StoredConversation | undefined {
  return [...state.conversations.values()].findLast(
    (it) => it.implicit && it.status === "active" && String(it.participants) === String(sorted(participants)),
  );
}

export function changeStatus(
  state: MemoryState,
  conversation: StoredConversation,
  status: ConversationStatus,
  actor: string,
): StoredConversation {
  if (conversation.status === status) return conversation;
  note(state, { event: "conversation_changed", actor, conversation_id: conversation.id, reason: status });
  return keep(state, { ...conversation, status });
}

/** Takes in whoever of a publication is not yet a participant. */
export function join(
  state: MemoryState,
  conversation: StoredConversation,
  { participants, actor }: Publication,
): StoredConversation {
  const joined = sorted(participants.filter((it) => !conversation.participants.includes(it)));
  if (joined.length === 0) return conversation;
  const reason = `joined: ${joined.join(", ")}`;
  note(state, { event: "conversation_changed", actor, conversation_id: conversation.id, reason });
  return keep(state, { ...conversation, participants: sorted([...conversation.participants, ...joined]) });
}

/** Replaces what is stored under its id; a conversation keeps its place in the order of opening. */
export function keep(state: MemoryState, conversation: StoredConversation): StoredConversation {
  state.conversations.set(conversation.id, conversation);
  return conversation;
}

function sorted(agents: readonly AgentId[]): AgentId[] {
  return [...new Set(agents)].sort();
}
