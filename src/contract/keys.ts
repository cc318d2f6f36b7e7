import { type Static, Type } from "typebox";
import { limits } from "./limits.ts";
import { Timestamp } from "./messages.ts";

const strict = { additionalProperties: false } as const;

const DataKey = Type.Object(
  {
    key_id: Type.String({ description: "Names the key; no secret." }),
    purpose: Type.Enum(["content", "index"], {
      description: "Seals what was said, or hides the words of the search index.",
    }),
    epoch: Type.Integer({ minimum: 1 }),
    created_at: Timestamp,
    seals: Type.Integer({ minimum: 0, description: "Fields sealed with it, to within some thousand." }),
  },
  strict,
);

/** How the keys of a hive stand; no key is in it. */
export type KeyStatus = Static<typeof KeyStatus>;
export const KeyStatus = Type.Object(
  {
    hive_id: Type.String({ description: "Names the hive; the default key file is called after it." }),
    master_key: Type.String({ description: "Id of the master key that all data keys are wrapped by." }),
    master_key_source: Type.String({ description: "Where the server has the master key from." }),
    epoch: Type.Integer({ minimum: 1, description: "The newest: what is written now is sealed under it." }),
    rotation_due: Type.Boolean({
      description: "The newest key has sealed so much that the server makes another soon.",
    }),
    keys: Type.Array(DataKey),
    reencryption: Type.Object(
      {
        running: Type.Boolean({ description: "Messages of older epochs are being sealed anew, also across restarts." }),
        share: Type.Number({ minimum: 0, maximum: 1, description: "How much of the history it has been through." }),
        messages: Type.Integer({ minimum: 0, description: "Sealed anew since this server started." }),
      },
      strict,
    ),
  },
  { ...strict, $id: "KeyStatus" },
);

export const NewMasterKey = Type.Object(
  {
    key_file: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: limits.path_length,
        description:
          "Whole path of a file on the server's machine to go over to; made where it is missing. Without it the key file in use gets a new key.",
      }),
    ),
  },
  strict,
);
