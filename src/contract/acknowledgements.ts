import { Type } from "typebox";
import { limits } from "./limits.ts";
import { LeaseId, MessageId } from "./messages.ts";

const strict = { additionalProperties: false } as const;

export const Acknowledged = Type.Object(
  {
    acknowledged: Type.Boolean(),
    reason: Type.Optional(Type.Literal("lease_lost", { description: "The lease had ended: nothing was changed." })),
  },
  strict,
);

export const Acknowledgements = Type.Object(
  {
    acknowledgements: Type.Array(Type.Object({ message_id: MessageId, lease_id: LeaseId }, strict), {
      minItems: 1,
      maxItems: limits.batch,
    }),
  },
  strict,
);

export const AcknowledgedEach = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        {
          message_id: MessageId,
          acknowledged: Type.Boolean(),
          reason: Type.Optional(Type.Enum(["lease_lost", "message_not_found"])),
        },
        strict,
      ),
    ),
  },
  strict,
);
