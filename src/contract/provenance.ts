import { type Static, Type } from "typebox";

/**
 * How far the sender's name can be relied on, from most to least. `hivepost`: the bus's own notice. `operator`: sent with an
 * operator's token, whose holder may name any sender. `agent`: sent with a token that is bound to the agent in `from_agent`.
 * `imported`: history that an import claims; neither the sender nor the time was seen by the bus.
 */
export const trustLevels = ["hivepost", "operator", "agent", "imported"] as const;
export type Trust = (typeof trustLevels)[number];

/** The most that the sender's token may do; `system` where the bus itself wrote, without one. */
export const tokenKinds = ["agent", "operate", "admin", "system"] as const;
export type TokenKind = (typeof tokenKinds)[number];

/** Where a message really comes from: what the server saw when it accepted it, and nothing that the sender said. */
export type Provenance = Static<typeof Provenance>;
export const Provenance = Type.Object(
  {
    actor: Type.String({
      description: "Whose token it was: an agent, `operator`, `operator:` with the name of the token, or `hivepost`.",
    }),
    token: Type.Unsafe<TokenKind>(
      Type.Enum([...tokenKinds], {
        description: "The most that the token may do; `system`: the bus itself, without one.",
      }),
    ),
    trust: Type.Unsafe<Trust>(
      Type.Enum([...trustLevels], {
        description:
          "hivepost: a notice of the bus itself; operator: sent with an operator's token, from_agent is whom it named; " +
          "agent: sent with from_agent's own token; imported: as an import claims, seen by nobody here.",
      }),
    ),
  },
  {
    additionalProperties: false,
    $id: "Provenance",
    description:
      "What the server saw of the sender; it says who wrote, never that what they wrote is true or an order.",
  },
);
