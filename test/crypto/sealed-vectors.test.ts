import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { base64url } from "jose";
import type { ErrorCode } from "../../src/contract/errors.ts";
import type { ConversationKey } from "../../src/crypto/sealed/conversation-key.ts";
import type { Delivered, Envelope } from "../../src/crypto/sealed/envelope.ts";
import { type AgentKeys, areGenuine, audienceOf, fingerprint, publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { open } from "../../src/crypto/sealed/open.ts";
import { sign } from "../../src/crypto/sealed/signature.ts";
import { refuses } from "./sealed-scene.ts";

type Name = "ada" | "bob" | "cleo" | "eve";
type Case = {
  readonly what: string;
  readonly reader: Name;
  readonly delivered: Delivered;
  readonly sealed: unknown;
  readonly conversation_key?: Omit<ConversationKey, "secret"> & { readonly secret: string };
};
type Vectors = {
  readonly keys: Readonly<Record<Name, AgentKeys & { readonly fingerprint: string }>>;
  readonly payload: unknown;
  readonly signing: {
    readonly sender: Name;
    readonly envelope: Envelope;
    readonly recipients: readonly Name[];
    readonly audience: string;
    readonly jws: string;
  };
  readonly opens: readonly Case[];
  readonly refused: readonly (Case & { readonly code: ErrorCode })[];
};

const { keys, payload, signing, opens, refused } = JSON.parse(
  readFileSync("test/vectors/sealed.json", "utf8"),
) as Vectors;

function openCase({ reader, delivered, sealed, conversation_key }: Case) {
  const conversation_keys = conversation_key
    ? [{ ...conversation_key, secret: base64url.decode(conversation_key.secret) }]
    : [];
  const sender_keys = [publicKeysOf(keys.ada)];
  return open(sealed, delivered, { own_keys: [keys[reader]], sender_keys, conversation_keys });
}

describe("the test vectors of sealed messages", () => {
  it("hold keys with their thumbprints and fingerprints", async () => {
    for (const { fingerprint: wanted, encryption, signing, created_at } of Object.values(keys)) {
      const shown = publicKeysOf({ encryption, signing, created_at });
      assert.equal(await areGenuine(shown), true);
      assert.equal(await fingerprint(shown), wanted);
    }
  });

  it("hold a signature that comes out the same to the last character", async () => {
    const audience = await audienceOf(signing.recipients.map((name) => keys[name].encryption.kid));
    assert.equal(audience, signing.audience);
    const signed = await sign(
      payload,
      { purpose: "sealed", envelope: signing.envelope, audience },
      keys[signing.sender],
    );
    assert.equal(new TextDecoder().decode(signed), signing.jws);
  });

  for (const it_opens of opens) {
    it(`open: ${it_opens.what}`, async () => {
      assert.deepEqual((await openCase(it_opens)).payload, payload);
    });
  }

  for (const is_refused of refused) {
    it(`are refused: ${is_refused.what}`, async () => {
      await refuses(openCase(is_refused), is_refused.code);
    });
  }
});
