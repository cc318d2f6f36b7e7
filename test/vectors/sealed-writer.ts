import { writeFileSync } from "node:fs";
import path from "node:path";
import { base64url } from "jose";
import type { AgentId } from "../../src/contract/messages.ts";
import { sealConversationKey, sealWithConversationKey } from "../../src/crypto/sealed/conversation-key.ts";
import { audienceOf, fingerprint, makeAgentKeys, publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { seal } from "../../src/crypto/sealed/seal.ts";
import {
  delivered,
  encode,
  encryptAnything,
  envelopeOf,
  honest,
  recipient,
  sealed_at,
  signAnything,
  toSeal,
} from "../crypto/sealed-scene.ts";
import { messageId, monday_ms } from "../support/fixtures.ts";

/*
 * Writes sealed.json anew, with fresh keys: node test/vectors/sealed-writer.ts. Only needed when the form of sealed messages
 * changes, which makes mail sealed before unreadable.
 */

const [ada, bob, cleo, eve] = [
  await makeAgentKeys(monday_ms),
  await makeAgentKeys(monday_ms),
  await makeAgentKeys(monday_ms),
  await makeAgentKeys(monday_ms),
];
const keys = { ada, bob, cleo, eve };
const payload = { content: "Grüße, 世界 🐝", metadata: { run: 7, nested: [true, null] } };
const toBob = toSeal({ payload, recipients: [recipient("bob", bob)] });
const toCrew = toSeal({ ...toBob, to: "group:crew", recipients: [recipient("bob", bob), recipient("cleo", cleo)] });
const crew = delivered({ to_agent: "group:crew" });
const { header } = await honest(toBob, ada);
const signed = signAnything(header, payload, ada);
const one = await seal(toBob, ada);
const members = [recipient("ada", ada), recipient("bob", bob)];
const { conversation_id } = delivered();
const made = await sealConversationKey(
  { id: messageId(), conversation_id, epoch: 1, from: "ada" as AgentId, members, sealed_at },
  ada,
);

const opens = [
  { what: "one recipient", reader: "bob", delivered: delivered(), sealed: one },
  { what: "two recipients, the first", reader: "bob", delivered: crew, sealed: await seal(toCrew, ada) },
  { what: "two recipients, the second", reader: "cleo", delivered: crew, sealed: await seal(toCrew, ada) },
  {
    what: "the conversation's key",
    reader: "bob",
    conversation_key: { ...made.key, secret: base64url.encode(made.key.secret) },
    delivered: delivered(),
    sealed: await sealWithConversationKey(toBob, made.key, ada),
  },
];

const none = `${encode({ ...header, alg: "none" })}.${encode(payload)}.`;
const refused = [
  { what: "not a recipient", reader: "eve", code: "key_unknown", delivered: delivered(), sealed: one },
  ...Object.entries({ id: messageId(), from_agent: "cleo", to_agent: "cleo", conversation_id: messageId() }).map(
    ([field, value]) => ({
      what: `moved to another ${field}`,
      reader: "bob",
      code: "sealed_invalid",
      delivered: { ...delivered(), [field]: value },
      sealed: one,
    }),
  ),
  {
    what: "sealed a year before",
    reader: "bob",
    code: "sealed_invalid",
    delivered: delivered({ timestamp: "2027-01-05T09:00:00.000Z" }),
    sealed: one,
  },
  ...(await Promise.all(
    Object.entries({
      "signature with alg none": none,
      "signature of another key under the sender's kid": signAnything(header, payload, eve),
      "signature made for other readers": signAnything((await honest(toCrew, ada)).header, payload, ada),
      "signature with crit": signAnything({ ...header, crit: ["exp"], exp: 1 }, payload, ada),
      "no signature": JSON.stringify(payload),
    }).map(async ([what, text]) => ({
      what,
      reader: "bob",
      code: "sealed_invalid",
      delivered: delivered(),
      sealed: await encryptAnything(text, toBob),
    })),
  )),
  {
    what: "a spare bit set in the tag's last character",
    reader: "bob",
    code: "sealed_invalid",
    delivered: delivered(),
    sealed: { ...one, tag: withSpareBit(one.tag) },
  },
];

/** The same bytes to a lenient decoder: the lowest of the last character's four spare bits is set. */
function withSpareBit(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.slice(0, -1) + alphabet.charAt(alphabet.indexOf(text.slice(-1)) ^ 1);
}

const vectors = {
  keys: Object.fromEntries(
    await Promise.all(
      Object.entries(keys).map(async ([name, it]) => [
        name,
        { ...it, fingerprint: await fingerprint(publicKeysOf(it)) },
      ]),
    ),
  ),
  payload,
  // Ed25519 signatures do not vary, so that a sender can be checked to the last character.
  signing: {
    sender: "ada",
    envelope: envelopeOf(toBob),
    recipients: ["bob"],
    audience: await audienceOf([bob.encryption.kid]),
    jws: signed,
  },
  opens,
  refused,
};
writeFileSync(path.join(import.meta.dirname, "sealed.json"), `${JSON.stringify(vectors, undefined, 2)}\n`);
