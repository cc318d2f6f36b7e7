import { type Static, Type } from "typebox";
import { limits } from "./limits.ts";
import { AgentId, ConversationId, Cursor, DeliveryState, MessageType, Priority, Timestamp } from "./messages.ts";

const strict = { additionalProperties: false } as const;

/** Rows on a page. */
export const PageLimit = Type.Optional(
  Type.Integer({ minimum: 1, maximum: limits.page, default: limits.default_page }),
);

const SearchFields = Type.Object(
  {
    participant: Type.Optional(AgentId),
    with: Type.Optional(AgentId),
    from_agent: Type.Optional(AgentId),
    to_agent: Type.Optional(AgentId),
    conversation_id: Type.Optional(ConversationId),
    priority: Type.Optional(Priority),
    message_type: Type.Optional(MessageType),
    state: Type.Optional(DeliveryState),
    since: Type.Optional(Timestamp),
    until: Type.Optional(Timestamp),
    q: Type.Optional(Type.String({ maxLength: limits.query_length, description: "All of these whole words." })),
    order: Type.Optional(
      Type.Unsafe<"asc" | "desc">(Type.Enum(["asc", "desc"], { default: "desc", description: "By time." })),
    ),
    limit: PageLimit,
    cursor: Type.Optional(Cursor),
  },
  {
    ...strict,
    patternProperties: { "^metadata\\..{1,256}$": Type.Union([Type.String(), Type.Number(), Type.Boolean()]) },
    description: "`metadata.<path>` asks for an equal scalar at that path, e.g. `metadata.ticket=42`.",
  },
);

export type SearchQuery = Static<typeof SearchFields> & {
  readonly [field: `metadata.${string}`]: string | number | boolean;
};
export const SearchQuery = Type.Unsafe<SearchQuery>(SearchFields);
