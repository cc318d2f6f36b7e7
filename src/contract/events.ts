import { type Static, Type } from "typebox";
import { AgentId, ConversationId, Cursor, ledgerEvents, MessageId, Timestamp } from "./messages.ts";

/** Everything that is announced: each step of each delivery's ledger, and what happens to agents and conversations. */
export const eventNames = [
  ...ledgerEvents,
  "agent_registered",
  "agent_removed",
  "agent_keys_changed",
  "conversation_opened",
  "conversation_changed",
] as const;
export type EventName = (typeof eventNames)[number];

/** One step, as streamed by `follow`. The cursor resumes the stream just after it. */
export type BusEvent = Static<typeof BusEvent>;
export const BusEvent = Type.Object(
  {
    cursor: Cursor,
    event: Type.Unsafe<EventName>(Type.Enum([...eventNames])),
    at: Timestamp,
    actor: Type.String(),
    message_id: Type.Optional(MessageId),
    agent_id: Type.Optional(AgentId),
    conversation_id: Type.Optional(ConversationId),
    reason: Type.Optional(Type.String()),
  },
  { additionalProperties: false, $id: "BusEvent" },
);
