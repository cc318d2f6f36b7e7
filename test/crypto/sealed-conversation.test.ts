import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ConversationId } from "../../src/contract/messages.ts";
import {
  type ConversationKey,
  type DeliveredKey,
  fitsMembers,
  type NewConversationKey,
  openConversationKey,
  sealConversationKey,
  sealWithConversationKey,
} from "../../src/crypto/sealed/conversation-key.ts";
import { encryptToConversation } from "../../src/crypto/sealed/encryption.ts";
import { type AgentKeys, publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { open } from "../../src/crypto/sealed/open.ts";
import { seal } from "../../src/crypto/sealed/seal.ts";
import { sign } from "../../src/crypto/sealed/signature.ts";
import { ada, bob, conversationId, messageId } from "../support/fixtures.ts";
import {
  adaKeys,
  bobKeys,
  cleoKeys,
  delivered,
  envelopeOf,
  eveKeys,
  recipient,
  refuses,
  sealed_at,
  toSeal,
} from "./sealed-scene.ts";

// What the scene's messages are about: one conversation.
const conversation_id = delivered().conversation_id;
const key_id = messageId();
const crew = [recipient("ada", adaKeys), recipient("bob", bobKeys), recipient("cleo", cleoKeys)];

function newKey(fields: Partial<NewConversationKey> = {}): NewConversationKey {
  return { id: key_id, conversation_id, epoch: 1, from: ada, members: crew, sealed_at, ...fields };
}

const keyAsDelivered = (fields: Partial<DeliveredKey> = {}): DeliveredKey => ({
  id: key_id,
  conversation_id,
  epoch: 1,
  from_agent: ada,
  timestamp: sealed_at,
  ...fields,
});

const openKeyAs = (keys: AgentKeys, sealed: unknown, fields: Partial<DeliveredKey> = {}) =>
  openConversationKey(sealed, keyAsDelivered(fields), { own_keys: [keys], sender_keys: [publicKeysOf(adaKeys)] });

const openWith = (conversation_keys: readonly ConversationKey[], sealed: unknown, envelope = delivered()) =>
  open(sealed, envelope, { own_keys: [], sender_keys: [publicKeysOf(adaKeys)], conversation_keys });

describe("a conversation's key", () => {
  it("reaches every member as it was made, and nobody else", async () => {
    const { key, sealed } = await sealConversationKey(newKey(), adaKeys);
    for (const keys of [adaKeys, bobKeys, cleoKeys]) assert.deepEqual(await openKeyAs(keys, sealed), key);
    await refuses(openKeyAs(eveKeys, sealed), "key_unknown");
    assert.equal(key.kid, `${conversation_id}.1`);
    assert.equal(key.secret.length, 32);
  });

  it("is another one each time", async () => {
    const made = await Promise.all([1, 2].map(() => sealConversationKey(newKey(), adaKeys)));
    assert.notDeepEqual(made[0]?.key.secret, made[1]?.key.secret);
  });

  it("is refused for another conversation, epoch, maker, id or time than it was made for", async () => {
    const { sealed } = await sealConversationKey(newKey(), adaKeys);
    const moves = [
      { id: messageId() },
      { conversation_id: conversationId() },
      { epoch: 2 },
      { from_agent: bob },
      { timestamp: "2027-01-01T00:00:00.000Z" },
    ];
    for (const move of moves) await refuses(openKeyAs(bobKeys, sealed, move), "sealed_invalid");
  });

  it("is never taken for a message, nor a message for it, nor one sealed with a key", async () => {
    const { key, sealed } = await sealConversationKey(newKey(), adaKeys);
    const keys = { own_keys: [bobKeys], sender_keys: [publicKeysOf(adaKeys)] };
    const asMessage = delivered({ id: key_id, to_agent: `conversation:${conversation_id}` });
    await refuses(open(sealed, asMessage, keys), "sealed_invalid", /header/);
    const message = await seal(toSeal({ message_id: key_id, to: `conversation:${conversation_id}` }), adaKeys);
    await refuses(openKeyAs(bobKeys, message), "sealed_invalid", /header/);
    await refuses(openKeyAs(bobKeys, await sealWithConversationKey(toSeal(), key, adaKeys)), "sealed_invalid", /form/);
  });

  it("fits its members for as long as they and their keys stay the same", async () => {
    const { key } = await sealConversationKey(newKey(), adaKeys);
    const members = crew.map((it) => it.keys);
    assert.equal(await fitsMembers(key, members.toReversed()), true);
    assert.equal(await fitsMembers(key, members.slice(1)), false);
    assert.equal(await fitsMembers(key, [...members, publicKeysOf(eveKeys)]), false);
    assert.equal(await fitsMembers(key, [...members.slice(1), publicKeysOf(eveKeys)]), false);
  });
});

describe("a message sealed with its conversation's key", async () => {
  const { key } = await sealConversationKey(newKey(), adaKeys);
  const next = (await sealConversationKey(newKey({ epoch: 2, members: crew.slice(0, 2) }), adaKeys)).key;

  it("opens to what was sealed, with the key that it names among several", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme" }), fc.boolean(), async (content, late) => {
        const payload = { content, metadata: { late } };
        const sealed = await sealWithConversationKey(toSeal({ payload }), late ? next : key, adaKeys);
        assert.deepEqual((await openWith([next, key], JSON.parse(JSON.stringify(sealed)))).payload, payload);
      }),
      { numRuns: 50 },
    );
  });

  it("stays closed to who has only another epoch's key, or a false one under its name", async () => {
    const sealed = await sealWithConversationKey(toSeal(), next, adaKeys);
    await refuses(openWith([key], sealed), "key_unknown", /\.2, which is not among/);
    await refuses(openWith([], sealed), "key_unknown");
    await refuses(openWith([{ ...key, kid: next.kid }], sealed), "sealed_invalid", /decrypted/);
  });

  it("is refused under another envelope, and where a member moves a signature to another", async () => {
    const sealed = await sealWithConversationKey(toSeal(), key, adaKeys);
    for (const move of [
      { id: messageId() },
      { from_agent: bob },
      { to_agent: "cleo" },
      { conversation_id: conversationId() },
    ]) {
      await refuses(openWith([key], sealed, delivered(move)), "sealed_invalid", /moved/);
    }
    const signed = await sign(
      toSeal().payload,
      { purpose: "sealed", envelope: envelopeOf(toSeal()), audience: key.audience },
      adaKeys,
    );
    const id = messageId();
    const moved = await encryptToConversation(signed, envelopeOf(toSeal({ message_id: id })), key);
    await refuses(openWith([key], moved, delivered({ id })), "sealed_invalid", /different envelopes/);
    const epoch = await encryptToConversation(signed, envelopeOf(toSeal()), next);
    await refuses(openWith([next], epoch), "sealed_invalid", /other readers/);
  });

  it("is refused where the key is another conversation's, or the conversation is left open", async () => {
    const { conversation_id: _, ...open_ended } = envelopeOf(toSeal());
    const elsewhere = { ...envelopeOf(toSeal()), conversation_id: conversationId() as ConversationId };
    for (const envelope of [open_ended, elsewhere]) {
      const signed = await sign(toSeal().payload, { purpose: "sealed", envelope, audience: key.audience }, adaKeys);
      const sealed = await encryptToConversation(signed, envelope, key);
      await refuses(openWith([key], sealed), "sealed_invalid", /another conversation/);
    }
  });

  it("is refused where another member signed it in the sender's name", async () => {
    const sealed = await sealWithConversationKey(toSeal(), key, bobKeys);
    await refuses(openWith([key], sealed), "key_changed");
  });

  it("is refused for any changed character", async () => {
    const sealed = await sealWithConversationKey(toSeal(), key, adaKeys);
    for (const part of ["protected", "iv", "tag", "ciphertext"] as const) {
      for (let at = 0; at < sealed[part].length; at += part === "ciphertext" ? 11 : 3) {
        const letter = sealed[part].charAt(at) === "A" ? "B" : "A";
        const changed = sealed[part].slice(0, at) + letter + sealed[part].slice(at + 1);
        await refuses(openWith([key], { ...sealed, [part]: changed }), ["sealed_invalid", "key_unknown"]);
      }
    }
  });

  it("never repeats a nonce", async () => {
    const many = await Promise.all(Array.from({ length: 200 }, () => sealWithConversationKey(toSeal(), key, adaKeys)));
    assert.equal(new Set(many.map((it) => it.iv)).size, 200);
  });
});
