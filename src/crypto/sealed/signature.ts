import { CompactSign, compactVerify } from "jose";
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { sameJson } from "../../base/json.ts";
import { BusError } from "../../contract/errors.ts";
import { PublicKeys } from "../../contract/public-keys.ts";
import { isCanonicalBase64url } from "./base64url.ts";
import { Envelope, type Purpose, parseUtf8Json, readHeader, refusal } from "./envelope.ts";
import { type AgentKeys, areGenuine, fingerprint, fingerprintOf, importKey } from "./keys.ts";

const SignatureHeader = Type.Object(
  {
    alg: Type.Literal("EdDSA"),
    kid: PublicKeys.properties.signing.properties.kid,
    /** The sender's other key, so that its fingerprint can be told even where it is unknown. */
    encryption_kid: PublicKeys.properties.encryption.properties.kid,
    typ: Type.String(),
    envelope: Envelope,
    /** Who can read it: see `audienceOf`. Keeps a reader from passing the signature on to others. */
    audience: Type.String(),
  },
  { additionalProperties: false },
);

const signatureHeader = Compile(SignatureHeader);

/** What the inner signature covers besides the payload. */
export type Signed = { readonly purpose: Purpose; readonly envelope: Envelope; readonly audience: string };

export type Verified = {
  readonly payload: unknown;
  /** The signature, in base64url: the same for the same sealed message only. */
  readonly signature: string;
  /** Thumbprint of the key that made it. */
  readonly signed_by: string;
};

/** The payload signed by its sender: a compact JWS, in UTF-8. */
export async function sign(payload: unknown, signed: Signed, { signing, encryption }: AgentKeys): Promise<Uint8Array> {
  const text = await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({
      alg: "EdDSA",
      kid: signing.kid,
      encryption_kid: encryption.kid,
      typ: `hivepost-${signed.purpose}+jws`,
      envelope: signed.envelope,
      audience: signed.audience,
    })
    .sign(await importKey(signing));
  return new TextEncoder().encode(text);
}

/**
 * The payload of a signed text, once it is known to say what the outside says and to come from one of these keys.
 *
 * @throws BusError `sealed_invalid`, `key_unknown`, `key_changed`
 */
export async function verify(text: Uint8Array, signed: Signed, senderKeys: readonly PublicKeys[]): Promise<Verified> {
  const id = signed.envelope.message_id;
  const { header, signature } = readSigned(text, id);
  requireSameEnvelope(header, signed);
  const keys = await findSender(header, signed.envelope, senderKeys);
  const verified = await checkSignature(text, keys, id);
  return { payload: parseUtf8Json(verified), signature, signed_by: header.kid };
}

function readSigned(bytes: Uint8Array, id: string) {
  const [head = "", body = "", signature = "", ...rest] = new TextDecoder().decode(bytes).split(".");
  const header = readHeader(signatureHeader, head);
  if (rest.length > 0 || !header || !isCanonicalBase64url(body) || !isCanonicalBase64url(signature)) {
    throw refusal(id, "inside is no signature by the sender in the one form allowed");
  }
  return { header, signature };
}

function requireSameEnvelope(header: Static<typeof SignatureHeader>, { purpose, envelope, audience }: Signed): void {
  const id = envelope.message_id;
  if (header.typ !== `hivepost-${purpose}+jws`) throw refusal(id, "the signature inside was made for another purpose");
  if (!sameJson(header.envelope, envelope)) throw refusal(id, "inside and outside name different envelopes");
  if (header.audience !== audience) throw refusal(id, "its sender signed it for other readers");
}

/** Of the sender's trusted keys, those that signed. */
async function findSender(
  { kid, encryption_kid }: Static<typeof SignatureHeader>,
  { from, message_id }: Envelope,
  trusted: readonly PublicKeys[],
): Promise<PublicKeys> {
  const keys = trusted.find((it) => it.signing.kid === kid && it.encryption.kid === encryption_kid);
  if (keys && (await areGenuine(keys))) return keys;
  const shown = await fingerprintOf(encryption_kid, kid);
  const [latest] = trusted;
  if (!latest) {
    throw new BusError(
      "key_unknown",
      `message ${message_id} is signed with the key ${shown}, and no key of ${from} is known; look ${from} up in the registry and open it again`,
    );
  }
  throw new BusError(
    "key_changed",
    `message ${message_id} from ${from} is signed with the key ${shown}, but the one trusted is ${await fingerprint(latest)}; ask ${from} by another way which is right, and trust the new one explicitly if it is`,
  );
}

async function checkSignature(text: Uint8Array, { signing }: PublicKeys, id: string): Promise<Uint8Array> {
  const key = await importKey(signing);
  try {
    const { payload } = await compactVerify(text, key, { algorithms: ["EdDSA"] });
    return payload;
  } catch (cause) {
    throw refusal(id, "the signature inside is not its sender's", { cause });
  }
}
