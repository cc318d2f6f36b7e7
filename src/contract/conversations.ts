import { type Static, Type } from "typebox";
import { limits } from "./limits.ts";
import { AgentId, ConversationId, Timestamp } from "./messages.ts";

export type ConversationStatus = "active" | "archived" | "closed";
export const ConversationStatus = Type.Unsafe<ConversationStatus>(Type.Enum(["active", "archived", "closed"]));

export type Conversation = Static<typeof Conversation>;
export const Conversation = Type.Object(
  {
    id: ConversationId,
    participants: Type.Array(AgentId),
    created_at: Timestamp,
    last_activity: Timestamp,
    status: ConversationStatus,
    sealed: Type.Optional(Type.Literal(true, { description: "Takes sealed messages only." })),
  },
  { additionalProperties: false, $id: "Conversation" },
);

export type NewConversation = Static<typeof NewConversation>;
export const NewConversation = Type.Object(
  {
    participants: Type.Array(AgentId, { minItems: 1, maxItems: limits.participants }),
    sealed: Type.Optional(Type.Literal(true, { description: "Take sealed messages only." })),
  },
  { additionalProperties: false },
);
