import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { base64url, calculateJwkThumbprint, FlattenedEncrypt, GeneralEncrypt, type JWEHeaderParameters } from "jose";
import { isOrdinaryJson } from "../../src/base/json.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import {
  areGenuine,
  audienceOf,
  fingerprint,
  importKey,
  makeAgentKeys,
  publicKeysOf,
} from "../../src/crypto/sealed/keys.ts";
import { open } from "../../src/crypto/sealed/open.ts";
import { seal } from "../../src/crypto/sealed/seal.ts";
import { bob, cleo, conversationId, messageId, monday_ms } from "../support/fixtures.ts";
import {
  adaKeys,
  bobKeys,
  cleoKeys,
  decode,
  delivered,
  encode,
  encryptAnything,
  envelopeOf,
  eveKeys,
  honest,
  openAs,
  recipient,
  refuses,
  sealed_at,
  sealForBob,
  signAnything,
  signText,
  toSeal,
} from "./sealed-scene.ts";

const json = fc.jsonValue({ maxDepth: 3 });
/** As a message may have it: 16 levels at most, and no field `__proto__`. */
const metadata = fc.dictionary(fc.string(), json).filter((it) => isOrdinaryJson(JSON.parse(JSON.stringify(it)), 16));
const payloads = fc.record({ content: fc.string({ unit: "grapheme" }), metadata });

describe("an agent's keys", () => {
  it("name each key by its thumbprint, and show no secret to others", async () => {
    const shown = publicKeysOf(adaKeys);
    assert.deepEqual(Object.keys(shown.encryption).sort(), ["crv", "kid", "kty", "x"]);
    assert.deepEqual(Object.keys(shown.signing).sort(), ["crv", "kid", "kty", "x"]);
    assert.equal(shown.created_at, sealed_at);
    assert.equal(await areGenuine(shown), true);
    assert.equal(JSON.stringify(shown).includes(adaKeys.encryption.d), false);
  });

  it("are seen through where a key hides under the thumbprint of another", async () => {
    const eve = publicKeysOf(eveKeys);
    for (const part of ["encryption", "signing"] as const) {
      const false_keys = { ...eve, [part]: { ...eve[part], kid: adaKeys[part].kid } };
      assert.equal(await areGenuine(false_keys), false);
    }
  });

  it("have a fingerprint of 160 bits in groups of four, which depends on both keys", async () => {
    const mine = await fingerprint(publicKeysOf(adaKeys));
    assert.match(mine, /^([A-Z2-7]{4}-){7}[A-Z2-7]{4}$/);
    assert.equal(await fingerprint(publicKeysOf(adaKeys)), mine);
    const eve = publicKeysOf(eveKeys);
    assert.notEqual(await fingerprint({ ...publicKeysOf(adaKeys), encryption: eve.encryption }), mine);
    assert.notEqual(await fingerprint({ ...publicKeysOf(adaKeys), signing: eve.signing }), mine);
  });
});

describe("a sealed message", () => {
  it("opens to what was sealed, whatever that is", async () => {
    await fc.assert(
      fc.asyncProperty(payloads, async (payload) => {
        const opened = await openAs(bobKeys, JSON.parse(JSON.stringify(await sealForBob({ payload }))));
        assert.deepEqual(opened.payload, JSON.parse(JSON.stringify(payload)));
      }),
      { numRuns: 60 },
    );
  });

  it("tells when and with which key it was sealed, and its signature", async () => {
    const { signature, ...told } = await openAs(bobKeys, await sealForBob());
    assert.deepEqual(told, {
      payload: { content: "the build is green", metadata: { run: 7 } },
      sealed_at,
      signed_by: adaKeys.signing.kid,
    });
    assert.match(signature, /^[\w-]{86}$/);
  });

  it("shows neither content nor metadata", async () => {
    const text = JSON.stringify(await sealForBob());
    for (const secret of ["the build is green", "run"]) {
      assert.equal(text.includes(secret), false);
      assert.equal(text.includes(base64url.encode(secret).slice(0, -1)), false);
    }
  });

  it("opens for each of its recipients and for nobody else", async () => {
    const sealed = await sealForBob({
      to: "group:crew",
      recipients: [recipient("bob", bobKeys), recipient("cleo", cleoKeys), recipient("ada", adaKeys)],
    });
    const crew = delivered({ to_agent: "group:crew" });
    for (const keys of [adaKeys, bobKeys, cleoKeys]) {
      assert.equal((await openAs(keys, sealed, crew)).payload.content, "the build is green");
    }
    await refuses(openAs(eveKeys, sealed, crew), "key_unknown", /none of which is yours/);
  });

  it("opens where the conversation was not known when it was sealed", async () => {
    const { conversation_id: _, ...early } = toSeal();
    const opened = await openAs(bobKeys, await seal(early, adaKeys));
    assert.equal(opened.payload.content, "the build is green");
  });

  it("opens with a key that has since been rotated, as long as it is kept", async () => {
    const sealed = await sealForBob();
    const present = await makeAgentKeys(monday_ms);
    const sender_keys = [publicKeysOf(await makeAgentKeys(monday_ms)), publicKeysOf(adaKeys)];
    const opened = await open(sealed, delivered(), { own_keys: [present, bobKeys], sender_keys });
    assert.equal(opened.payload.content, "the build is green");
    await refuses(open(sealed, delivered(), { own_keys: [present], sender_keys }), "key_unknown");
  });

  it("differs each time, in nonce and wrapped key too", async () => {
    const many = await Promise.all(Array.from({ length: 50 }, () => sealForBob()));
    assert.equal(new Set(many.map((it) => it.iv)).size, 50);
    assert.equal(new Set(many.map((it) => it.recipients[0]?.encrypted_key)).size, 50);
  });

  it("cannot be sealed for nobody, for one key twice, or for a key that is none", async () => {
    const twice = [recipient("bob", bobKeys), recipient("cleo", bobKeys)];
    await refuses(sealForBob({ recipients: [] }), "invalid_input", /at least one/);
    await refuses(sealForBob({ recipients: twice }), "invalid_input", /named twice/);
    const swapped = publicKeysOf(bobKeys);
    const false_keys = { ...swapped, encryption: { ...swapped.encryption, x: eveKeys.encryption.x } };
    await refuses(sealForBob({ recipients: [{ agent_id: bob, keys: false_keys }] }), "invalid_input", /publish/);
  });

  it("cannot be sealed for a point of low order, with which nothing would be secret", async () => {
    const x = base64url.encode(new Uint8Array(32));
    const point = { kty: "OKP", crv: "X25519", x } as const;
    const weak = { ...point, kid: await calculateJwkThumbprint(point) };
    const keys = { ...publicKeysOf(bobKeys), encryption: weak };
    await refuses(sealForBob({ recipients: [{ agent_id: bob, keys }] }), "invalid_input", /cannot be used/);
  });
});

describe("a sealed message that was moved", () => {
  it("is refused under each other field of an envelope that it binds", async () => {
    const sealed = await sealForBob();
    const moves = [
      { id: messageId() },
      { conversation_id: conversationId() },
      { from_agent: cleo },
      { to_agent: "cleo" },
      { to_agent: "group:bob" },
      { from_agent: "Ada" as AgentId },
    ];
    for (const move of moves) {
      await refuses(openAs(bobKeys, sealed, delivered(move)), "sealed_invalid", /has been moved/);
    }
  });

  it("is refused where the outer envelope was written anew around the inner signature", async () => {
    const { header, payload } = await honest();
    const signed = signAnything(header, payload);
    const id = messageId();
    const moves = [
      [{ message_id: id }, { id }],
      [{ from: bob }, { from_agent: bob }],
      [{ to: "group:crew" }, { to_agent: "group:crew" }],
      [{ sealed_at: "2026-01-05T10:00:00.000Z" }, { timestamp: "2026-01-05T10:00:00.000Z" }],
    ] as const;
    for (const [sealedAs, deliveredAs] of moves) {
      const sealed = await encryptAnything(signed, toSeal(sealedAs));
      await refuses(openAs(bobKeys, sealed, delivered(deliveredAs)), "sealed_invalid", /different envelopes/);
    }
  });

  it("is refused by those to whom a reader passes its signature on", async () => {
    const { header, payload } = await honest();
    const forwarded = await encryptAnything(
      signAnything(header, payload),
      toSeal({ recipients: [recipient("cleo", cleoKeys)] }),
    );
    await refuses(openAs(cleoKeys, forwarded), "sealed_invalid", /other readers/);
  });

  it("is refused when it was sealed too long before or after the bus took it", async () => {
    const sealed = await sealForBob();
    const at = (ms: number) => delivered({ timestamp: new Date(monday_ms + ms).toISOString() });
    const week_ms = 7 * 86_400_000;
    await openAs(bobKeys, sealed, at(week_ms));
    await openAs(bobKeys, sealed, at(-300_000));
    await refuses(openAs(bobKeys, sealed, at(week_ms + 1)), "sealed_invalid", /too long before/);
    await refuses(openAs(bobKeys, sealed, at(-300_001)), "sealed_invalid", /too long after/);
    await refuses(
      openAs(bobKeys, sealed, delivered({ timestamp: "soon" })),
      "sealed_invalid",
      /bus accepted it at soon/,
    );
    const keys = { own_keys: [bobKeys], sender_keys: [publicKeysOf(adaKeys)], oldest_ms: 1_000, ahead_ms: 0 };
    await refuses(open(sealed, at(1_001), keys), "sealed_invalid", /too long before/);
    await refuses(open(sealed, at(-1), keys), "sealed_invalid", /too long after/);
  });
});

describe("the signature inside", () => {
  it("is refused where it is missing", async () => {
    const { payload } = await honest();
    for (const text of [JSON.stringify(payload), encode(payload), "..", "a.b.c.d"]) {
      await refuses(openAs(bobKeys, await encryptAnything(text)), "sealed_invalid", /no signature/);
    }
  });

  it("is refused where another made it, under the sender's name and key id too", async () => {
    const { header, payload } = await honest();
    const by_eve = await encryptAnything(signAnything(header, payload, eveKeys));
    await refuses(openAs(bobKeys, by_eve), "sealed_invalid", /not its sender's/);
    const own_name = await encryptAnything(signAnything((await honest(toSeal(), eveKeys)).header, payload, eveKeys));
    await refuses(openAs(bobKeys, own_name), "key_changed");
  });

  it("is refused in any other form: none, HMAC with the public key, extensions, another purpose", async () => {
    const { header, payload } = await honest();
    const hmac = (input: string) => createHmac("sha256", base64url.decode(adaKeys.signing.x)).update(input).digest();
    const input = `${encode({ ...header, alg: "HS256" })}.${encode(payload)}`;
    const forged = [
      `${encode({ ...header, alg: "none" })}.${encode(payload)}.`,
      `${encode(header)}.${encode(payload)}.`,
      `${input}.${base64url.encode(hmac(input))}`,
      signAnything({ ...header, alg: "Ed25519" }, payload),
      signAnything({ ...header, crit: ["exp"], exp: 1 }, payload),
      signAnything({ ...header, b64: false }, payload),
      signAnything({ ...header, jwk: publicKeysOf(eveKeys).signing }, payload),
      signAnything({ ...header, typ: "hivepost-conversation-key+jws" }, payload),
      signAnything({ ...header, typ: "JWT" }, payload),
    ];
    for (const text of forged) await refuses(openAs(bobKeys, await encryptAnything(text)), "sealed_invalid");
  });

  it("must cover content and metadata and nothing else", async () => {
    const { header } = await honest();
    for (const payload of [{}, { content: "x" }, { content: 1, metadata: {} }, { content: "x", metadata: [], z: 1 }]) {
      const sealed = await encryptAnything(signAnything(header, payload));
      await refuses(openAs(bobKeys, sealed), "sealed_invalid", /content and metadata/);
    }
  });

  it("covers no metadata that a server would not have let through", async () => {
    const { header } = await honest();
    const deep = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    for (const text of [deep, '{"a":[{"__proto__":{}}]}', '{"a":1e999}', '{"__proto__":1}']) {
      const sealed = await encryptAnything(signText(header, `{"content":"x","metadata":${text}}`));
      await refuses(openAs(bobKeys, sealed), "sealed_invalid", /metadata/);
    }
  });

  it("tells the fingerprints of both keys where the sender's is unknown or another", async () => {
    const sealed = await sealForBob();
    const [mine, eves] = await Promise.all([adaKeys, eveKeys].map((it) => fingerprint(publicKeysOf(it))));
    const own_keys = [bobKeys];
    await refuses(open(sealed, delivered(), { own_keys, sender_keys: [] }), "key_unknown", new RegExp(`${mine}`));
    const sender_keys = [publicKeysOf(eveKeys)];
    const both = new RegExp(`${mine}.*${eves}`);
    await refuses(open(sealed, delivered(), { own_keys, sender_keys }), "key_changed", both);
  });

  it("is not believed for a trusted key's id with another key behind it", async () => {
    const { header, payload } = await honest();
    const forged = await encryptAnything(signAnything(header, payload, eveKeys));
    const eve = publicKeysOf(eveKeys);
    const trusted = publicKeysOf(adaKeys);
    const swapped = { ...trusted, signing: { ...eve.signing, kid: trusted.signing.kid } };
    await refuses(open(forged, delivered(), { own_keys: [bobKeys], sender_keys: [swapped] }), "key_changed");
  });
});

describe("the encryption outside", () => {
  const kid = bobKeys.encryption.kid;

  async function jwe(head: JWEHeaderParameters, header: JWEHeaderParameters) {
    const { header: inner, payload } = await honest();
    return new GeneralEncrypt(new TextEncoder().encode(signAnything(inner, payload)))
      .setProtectedHeader({ enc: "A256GCM", typ: "hivepost-sealed+jwe", envelope: envelopeOf(toSeal()), ...head })
      .addRecipient(await importKey(publicKeysOf(bobKeys).encryption))
      .setUnprotectedHeader({ alg: "ECDH-ES+A256KW", kid, ...header })
      .encrypt();
  }

  it("opens in the form allowed, made by anybody", async () => {
    assert.equal((await openAs(bobKeys, await jwe({}, {}))).payload.content, "the build is green");
  });

  it("is refused with any other algorithm, compression or purpose", async () => {
    const forms = [
      jwe({ enc: "A128GCM" }, {}),
      jwe({ enc: "A256CBC-HS512" }, {}),
      jwe({}, { alg: "ECDH-ES+A128KW" }),
      jwe({ zip: "DEF" }, {}),
      jwe({ typ: "hivepost-conversation-key+jwe" }, {}),
      jwe({ typ: "JWE" }, {}),
      jwe({ cty: "JWT" }, {}),
    ];
    for (const sealed of await Promise.all(forms)) await refuses(openAs(bobKeys, sealed), "sealed_invalid");
  });

  it("is refused with an extension that its reader must understand, or a header that is no JSON", async () => {
    const sealed = await sealForBob();
    const head = decode(sealed.protected) as object;
    const texts = [
      encode({ ...head, crit: ["b64"], b64: true }),
      encode({ ...head, alg: "dir" }),
      encode([head]),
      base64url.encode("{"),
      base64url.encode(new Uint8Array([0xff, 0xfe])),
    ];
    for (const text of texts)
      await refuses(openAs(bobKeys, { ...sealed, protected: text }), "sealed_invalid", /header/);
  });

  it("is refused with an ephemeral key in both places or in none", async () => {
    const one = await sealForBob();
    const two = await sealForBob({ recipients: [recipient("bob", bobKeys), recipient("cleo", cleoKeys)] });
    const [entry] = one.recipients;
    const [mine, other] = two.recipients;
    assert.ok(entry && mine?.header.epk && other);
    const doubled = { ...one, recipients: [{ ...entry, header: { ...entry.header, epk: mine.header.epk } }] };
    await refuses(openAs(bobKeys, doubled), "sealed_invalid");
    const { epk: _, ...without } = mine.header;
    await refuses(openAs(bobKeys, { ...two, recipients: [{ ...mine, header: without }, other] }), "sealed_invalid");
  });

  it("is refused where a shared key stands in for the reader's", async () => {
    const { header, payload } = await honest();
    const sealed = await new FlattenedEncrypt(new TextEncoder().encode(signAnything(header, payload)))
      .setProtectedHeader({
        alg: "dir",
        enc: "A256GCM",
        kid,
        typ: "hivepost-sealed+jwe",
        envelope: envelopeOf(toSeal()),
      })
      .encrypt(base64url.decode(bobKeys.encryption.x));
    await refuses(openAs(bobKeys, sealed), "key_unknown", /not among those given/);
  });
});

describe("an audience", () => {
  it("is the same in any order and another for any other list", async () => {
    const kids = [adaKeys, bobKeys, cleoKeys].map((it) => it.encryption.kid);
    const all = await audienceOf(kids);
    assert.equal(await audienceOf(kids.toReversed()), all);
    assert.notEqual(await audienceOf(kids.slice(1)), all);
    assert.notEqual(await audienceOf([...kids, ...kids.slice(1)]), all);
  });
});
