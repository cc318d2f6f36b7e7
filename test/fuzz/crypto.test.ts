import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createOutboxCipher } from "../../src/client/outbox-cipher-node.ts";
import { readOutboxKey } from "../../src/client/outbox-key-node.ts";
import { createFieldCipher, type SealedPlace } from "../../src/crypto/field-cipher.ts";
import { type KeyRecords, openKeyRing } from "../../src/crypto/key-ring.ts";
import { parseKeyText } from "../../src/crypto/key-text.ts";
import { openMasterKey } from "../../src/crypto/master-key.ts";
import { decodeBase64url, isCanonicalBase64url } from "../../src/crypto/sealed/base64url.ts";
import {
  openConversationKey,
  sealConversationKey,
  sealWithConversationKey,
} from "../../src/crypto/sealed/conversation-key.ts";
import { publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { open } from "../../src/crypto/sealed/open.ts";
import { verify } from "../../src/crypto/sealed/signature.ts";
import { chance, cipherKeys, keyOf, providerOf } from "../crypto/keys.ts";
import { memoryKeyRecords } from "../crypto/memory-key-records.ts";
import {
  adaKeys,
  bobKeys,
  delivered,
  envelopeOf,
  honest,
  recipient,
  sealed_at,
  sealForBob,
  signAnything,
  toSeal,
} from "../crypto/sealed-scene.ts";
import { ada, messageId, temporaryFolder } from "../support/fixtures.ts";
import { cases, foreignBytes, foreignJson, foreignText, givesOrRefuses, takesTimeInProportion } from "./foreign.ts";

const secretText = "the launch code is 0000";

describe("a sealed field from outside", () => {
  const place: SealedPlace = { message_id: messageId(), field: "content" };
  const cipher = createFieldCipher(cipherKeys(2), chance);
  const elsewhere: SealedPlace = { ...place, field: "metadata" };
  const made = [cipher.seal(place, secretText), cipher.seal(place, ""), cipher.seal(elsewhere, "other")];

  it("opens as what was sealed for its place, or is refused", async () => {
    await fc.assert(
      fc.asyncProperty(foreignBytes(made), async (bytes) => {
        const codes = ["content_damaged", "key_unavailable"] as const;
        const text = await givesOrRefuses(() => cipher.open(place, bytes), codes, [secretText]);
        assert.ok(text === undefined || text === secretText || text === "");
        if (text !== undefined) assert.ok(made.some((it) => bytes.equals(it)));
      }),
      cases(2_000),
    );
  });

  it("of an outbox opens as what was sealed for its message, or not", () => {
    const outbox = createOutboxCipher(keyOf(3), "outbox");
    const records = [outbox.seal("id", "message", secretText), outbox.seal("id", "refusal", "no"), ...made];
    fc.assert(
      fc.property(foreignBytes(records), (bytes) => {
        const text = outbox.open("id", "message", bytes);
        assert.equal(text, Buffer.from(records[0] ?? []).equals(bytes) ? secretText : undefined);
      }),
      cases(2_000),
    );
  });
});

describe("a key from outside", () => {
  const key = createSecretKey(new Uint8Array(32).fill(0xc5)).export().toString("base64");
  const texts = [key, `${key}\n`, key.replaceAll("+", "-").replaceAll("/", "_"), key.slice(0, -1)];

  it("is one or is refused, and never shown", async () => {
    await fc.assert(
      fc.asyncProperty(foreignText(texts), async (text) => {
        const secrets = text.length > 12 ? [text.slice(2, 12)] : [];
        const plain = /^[\w+/=-]*$/.test(text) ? secrets : [];
        const made = await givesOrRefuses(() => parseKeyText(text, "the key"), ["key_unavailable"], plain);
        if (made) assert.equal(made.symmetricKeySize, 32);
      }),
      cases(2_000),
    );
  });

  it("in a file is one or is refused, for a hive and for an outbox", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "some.key");
    const options = { file, data_dir: path.join(folder.path, "hive"), data_keys_exist: true, randomBytes: chance };
    await fc.assert(
      fc.asyncProperty(foreignBytes(texts.map((it) => Buffer.from(it))), async (bytes) => {
        await writeFile(file, bytes);
        const opened = await givesOrRefuses(() => openMasterKey(options), ["key_unavailable"]);
        const read = await givesOrRefuses(() => readOutboxKey(file), ["key_unavailable"]);
        assert.equal(opened?.key.export().toString("hex"), read?.export().toString("hex"));
      }),
      cases(150),
    );
  });

  it("takes no longer than it is long", async () => {
    for (const unit of ["=", "A", " ", "-_", "=A"]) {
      await takesTimeInProportion(
        (length) => `${unit.repeat(length / unit.length)}!`,
        (text: string) => parseKeyText(text, "the key"),
      );
    }
  });

  it("in the records of a hive opens, or the hive does not", async () => {
    const made = memoryKeyRecords();
    const provider = providerOf(1);
    const options = { hive_id: "hive-1", provider, now: () => 0, randomBytes: chance };
    const ring = await openKeyRing({ ...options, records: made });
    await ring.rotate();
    const stored = made.stored();
    await fc.assert(
      fc.asyncProperty(foreignText(stored.map((it) => it.wrapped)), fc.nat(), async (wrapped, at) => {
        const load = async () => stored.map((it, n) => (n === at % stored.length ? { ...it, wrapped } : it));
        const records: KeyRecords = { ...made, load };
        await givesOrRefuses(() => openKeyRing({ ...options, records }), ["key_unavailable"]);
      }),
      cases(500),
    );
  });
});

describe("a sealed message from outside", async () => {
  const toBob = [await sealForBob(), await sealForBob({ payload: { content: secretText, metadata: {} } })];
  const message = toSeal();
  const { conversation_id = delivered().conversation_id } = message;
  const members = [recipient("ada", adaKeys), recipient("bob", bobKeys)];
  const distribution = { id: message.message_id, conversation_id, epoch: 1, from: ada, members, sealed_at };
  const { key, sealed: sealedKey } = await sealConversationKey(distribution, adaKeys);
  const toConversation = await sealWithConversationKey(message, key, adaKeys);
  const codes = ["sealed_invalid", "key_unknown", "key_changed"] as const;
  const keys = { own_keys: [bobKeys], sender_keys: [publicKeysOf(adaKeys)], conversation_keys: [key] };
  const secrets = [secretText, bobKeys.encryption.d, Buffer.from(key.secret).toString("base64url")];

  it("opens as what its sender sealed, or is refused", async () => {
    await fc.assert(
      fc.asyncProperty(foreignJson([...toBob, toConversation, sealedKey]), async (sealed) => {
        const opened = await givesOrRefuses(() => open(sealed, delivered(), keys), codes, secrets);
        if (opened) assert.ok(["the build is green", secretText].includes(opened.payload.content));
      }),
      cases(600),
    );
  });

  it("that holds a conversation's key gives that key, or is refused", async () => {
    const { to_agent: _, ...rest } = delivered();
    await fc.assert(
      fc.asyncProperty(foreignJson([sealedKey, ...toBob]), async (sealed) => {
        const opened = await givesOrRefuses(
          () => openConversationKey(sealed, { ...rest, epoch: 1 }, keys),
          codes,
          secrets,
        );
        if (opened) assert.deepEqual(opened.secret, key.secret);
      }),
      cases(300),
    );
  });

  it("holds a signature of its sender, or is refused", async () => {
    const { header, payload } = await honest();
    const signed = Buffer.from(signAnything(header, payload));
    const what = { purpose: "sealed", envelope: envelopeOf(message), audience: header.audience } as const;
    await fc.assert(
      fc.asyncProperty(foreignBytes([signed]), async (text) => {
        const verified = await givesOrRefuses(() => verify(text, what, keys.sender_keys), codes, secrets);
        if (verified) assert.deepEqual(verified.payload, payload);
      }),
      cases(800),
    );
  });

  it("takes no longer than it is long", async () => {
    for (const unit of ["A", "AAAA", "-", "=", ".", "e30."]) {
      const make = (length: number) => unit.repeat(length / unit.length);
      await takesTimeInProportion(make, (it: string) => isCanonicalBase64url(`${it}!`));
      await takesTimeInProportion(make, (it: string) => open({ ...toBob[0], ciphertext: it }, delivered(), keys));
      await takesTimeInProportion(make, (it: string) => open({ ...toBob[0], protected: it }, delivered(), keys));
    }
  });

  it("may be longer than any body without a stack running over", async () => {
    const long = "AAAA".repeat(4 * 1_024 * 1_024);
    assert.equal(isCanonicalBase64url(long), true);
    assert.equal(isCanonicalBase64url(`${long}!`), false);
    assert.equal(decodeBase64url(long)?.length, (long.length / 4) * 3);
    for (const part of ["protected", "ciphertext", "iv", "tag"]) {
      for (const sealed of [
        { ...toBob[0], [part]: long },
        { ...toConversation, [part]: long },
      ]) {
        assert.equal(await givesOrRefuses(() => open(sealed, delivered(), keys), codes), undefined);
      }
    }
  });
});
