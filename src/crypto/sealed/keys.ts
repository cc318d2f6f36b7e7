import { base64url, type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from "jose";
import { toTimestamp } from "../../base/time.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";

type PrivateHalf = { readonly d: string };

/** An agent's own keys, private halves included: X25519 to be written to, Ed25519 to sign with. */
export type AgentKeys = {
  readonly encryption: Readonly<PublicKeys["encryption"]> & PrivateHalf;
  readonly signing: Readonly<PublicKeys["signing"]> & PrivateHalf;
  readonly created_at: string;
};

type Key = PublicKeys["encryption" | "signing"] & Partial<PrivateHalf>;

/** 160 bits, read aloud as eight groups of four letters and digits. */
const fingerprint_bytes = 20;
const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** @param now_ms When they are made, in milliseconds since the Unix epoch. */
export async function makeAgentKeys(now_ms: number): Promise<AgentKeys> {
  const [encryption, signing] = await Promise.all([makeKey("X25519"), makeKey("Ed25519")]);
  return { encryption, signing, created_at: toTimestamp(now_ms) };
}

/** What an agent may show to everybody. */
export function publicKeysOf({ encryption, signing, created_at }: AgentKeys): PublicKeys {
  const { d: _encryptionSecret, ...publicEncryption } = encryption;
  const { d: _signingSecret, ...publicSigning } = signing;
  return { encryption: publicEncryption, signing: publicSigning, created_at };
}

/**
 * What two people read to each other to know that they mean the same keys: 160 bits in base32 (RFC 4648), such as
 * `MZXW-6YTB-…`. It covers both keys, by their thumbprints.
 */
export function fingerprint({ encryption, signing }: PublicKeys): Promise<string> {
  return fingerprintOf(encryption.kid, signing.kid);
}

/** The same, where only the thumbprints are known. */
export async function fingerprintOf(encryption_kid: string, signing_kid: string): Promise<string> {
  const digest = await sha256(`hivepost-fingerprint\n${encryption_kid}\n${signing_kid}`);
  const bits = [...digest.subarray(0, fingerprint_bytes)].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const letters = (bits.match(/.{5}/g) ?? []).map((five) => base32.charAt(Number.parseInt(five, 2))).join("");
  return (letters.match(/.{4}/g) ?? []).join("-");
}

/** Whether each `kid` is the thumbprint of its key, so that what is compared and bound by `kid` is the key itself. */
export async function areGenuine({ encryption, signing }: PublicKeys): Promise<boolean> {
  return (await isGenuine(encryption)) && isGenuine(signing);
}

/** For one exact list of readers, in whatever order: the SHA-256 of their keys' thumbprints, sorted, a line each. */
export async function audienceOf(kids: readonly string[]): Promise<string> {
  return base64url.encode(await sha256(kids.toSorted().join("\n")));
}

/** A key as WebCrypto wants it. Importing costs as much as signing, so a key is imported once for as long as its object lives. */
export async function importKey(key: Key): Promise<CryptoKey> {
  const known = imported.get(key);
  if (known && known.x === key.x && known.d === key.d) return known.cryptoKey;
  const alg = key.crv === "X25519" ? "ECDH-ES+A256KW" : "EdDSA";
  // An asymmetric JWK never becomes a bare secret.
  const cryptoKey = (await importJWK({ ...key }, alg)) as CryptoKey;
  imported.set(key, { x: key.x, d: key.d, cryptoKey });
  return cryptoKey;
}

const imported = new WeakMap<Key, { x: string; d: string | undefined; cryptoKey: CryptoKey }>();

/** A sender's keys are asked about with every message, so what was found holds for as long as the object says the same. */
async function isGenuine(key: PublicKeys["encryption" | "signing"]): Promise<boolean> {
  const known = genuine.get(key);
  if (known && known.x === key.x && known.kid === key.kid) return true;
  if ((await thumbprintOf(key)) !== key.kid) return false;
  genuine.set(key, { x: key.x, kid: key.kid });
  return true;
}

const genuine = new WeakMap<PublicKeys["encryption" | "signing"], { x: string; kid: string }>();

async function makeKey<Curve extends "X25519" | "Ed25519">(crv: Curve) {
  const alg = crv === "X25519" ? "ECDH-ES+A256KW" : "EdDSA";
  const { privateKey } = await generateKeyPair(alg, { crv, extractable: true });
  const { x = "", d = "" } = await exportJWK(privateKey);
  return { kty: "OKP" as const, crv, x, kid: await thumbprintOf({ kty: "OKP", crv, x }), d };
}

function thumbprintOf({ kty, crv, x }: Omit<Key, "kid" | "d">): Promise<string> {
  return calculateJwkThumbprint({ kty, crv, x });
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
