import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import type { ConversationId } from "../../contract/messages.ts";
import type { WireImport, WirePublication } from "./protocol.ts";
import type { OpenedConversation } from "./writer-conversations.ts";
import type { WriterState } from "./writer-state.ts";

/** The conversation of a message that is going to be accepted: the named one, the one between these, or a new one. */
export function enterConversation(
  state: WriterState,
  publication: WirePublication,
  answered: ConversationId | undefined,
  now_ms: number,
): OpenedConversation {
  const { conversation_id, participants, actor, fresh_conversation_id } = publication;
  const id = answered ?? conversation_id;
  const named = id && state.conversations.byId(id);
  if (named) return join(state, reactivate(state, named, actor, now_ms), publication, now_ms);
  return (
    state.conversations.implicit(participants) ??
    openConversation(state, {
      id: fresh_conversation_id,
      participants,
      actor,
      implicit: true,
      opened_ms: now_ms,
      now_ms,
    })
  );
}

/** Imports leave the status as it is, and open a conversation under whatever id they name. */
export function enterAsHistory(state: WriterState, message: WireImport, now_ms: number): OpenedConversation {
  const { conversation_id, participants, actor, timestamp_ms: opened_ms, fresh_conversation_id } = message;
  if (conversation_id === undefined) {
    return (
      state.conversations.implicit(participants) ??
      openConversation(state, { id: fresh_conversation_id, participants, actor, implicit: true, opened_ms, now_ms })
    );
  }
  const known = state.conversations.byId(conversation_id);
  if (known) return join(state, known, message, now_ms);
  return openConversation(state, { id: conversation_id, participants, actor, implicit: false, opened_ms, now_ms });
}

export function openConversation(
  state: WriterState,
  opening: {
    readonly id: ConversationId;
    readonly participants: WirePublication["participants"];
    readonly actor: string;
    readonly implicit: boolean;
    readonly sealed?: true | undefined;
    readonly opened_ms: number;
    readonly now_ms: number;
  },
): OpenedConversation {
  const { id, actor, implicit, sealed, opened_ms, now_ms } = opening;
  const participants = [...new Set(opening.participants)].sort();
  const created_at = toTimestamp(opened_ms);
  state.note({ event: "conversation_opened", at_ms: now_ms, conversation_id: id, actor });
  const conversation = { id, participants, created_at, last_activity: created_at, status: "active" } as const;
  return state.conversations.insert({ ...conversation, ...defined({ sealed }) }, implicit);
}

function reactivate(
  state: WriterState,
  conversation: OpenedConversation,
  actor: string,
  now_ms: number,
): OpenedConversation {
  if (conversation.status === "active") return conversation;
  const { id } = conversation;
  state.note({ event: "conversation_changed", at_ms: now_ms, conversation_id: id, actor, reason: "active" });
  return state.conversations.changeStatus(conversation, "active");
}

function join(
  state: WriterState,
  conversation: OpenedConversation,
  { participants, actor }: WirePublication,
  now_ms: number,
): OpenedConversation {
  const joined = participants.filter((it) => !conversation.participants.includes(it));
  if (joined.length === 0) return conversation;
  const reason = `joined: ${joined.join(", ")}`;
  state.note({ event: "conversation_changed", at_ms: now_ms, conversation_id: conversation.id, actor, reason });
  return state.conversations.join(conversation, joined);
}
