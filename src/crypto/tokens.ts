import { createHash, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import type { RandomBytes } from "../base/uuid.ts";

/*
 * hvp_<kind>_<key id>_<secret>_<crc32>: recognisable by secret scanners, and a mistyped or truncated token is told apart
 * from a wrong one before anything is looked up. Only the SHA-256 of a token is ever stored: its secret is 256 bits of
 * chance, so there is nothing for a slow hash to protect.
 */

export type TokenKind = "agent" | "observe" | "operate" | "admin";

export type Token = {
  readonly kind: TokenKind;
  /** Names the token in lists, logs and revocations; no secret. */
  readonly key_id: string;
  /** The whole token, secret included. */
  readonly text: string;
};

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const keyIdBytes = 8;
const keyIdLength = 11;
const secretBytes = 32;
/** 62^43 is the first power of 62 above 2^256, and 62^6 the first above 2^32. */
const secretLength = 43;
const checksumLength = 6;

const shape = new RegExp(
  `^hvp_(agent|observe|operate|admin)_([0-9A-Za-z]{${keyIdLength}})_[0-9A-Za-z]{${secretLength}}_[0-9A-Za-z]{${checksumLength}}$`,
);

export function makeToken(kind: TokenKind, randomBytes: RandomBytes): Token {
  const key_id = base62(drawn(keyIdBytes, randomBytes), keyIdLength);
  const secret = base62(drawn(secretBytes, randomBytes), secretLength);
  const body = `hvp_${kind}_${key_id}_${secret}`;
  return { kind, key_id, text: `${body}_${checksum(body)}` };
}

/** The parts of a token; undefined where the text is none, or was damaged on its way. */
export function parseToken(text: string): Token | undefined {
  const match = shape.exec(text);
  if (!match) return undefined;
  const [, kind, key_id = ""] = match;
  const body = text.slice(0, -(checksumLength + 1));
  if (text.slice(-checksumLength) !== checksum(body)) return undefined;
  // The expression admits these four kinds only.
  return { kind: kind as TokenKind, key_id, text };
}

/** What is stored of a token: the SHA-256 of its text. */
export function hashToken(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

/** Compares in a time that does not depend on where the two differ. */
export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function drawn(length: number, randomBytes: RandomBytes): Uint8Array {
  const bytes = new Uint8Array(length);
  randomBytes(bytes);
  return bytes;
}

function checksum(body: string): string {
  let rest = crc32(body);
  let text = "";
  for (let i = 0; i < checksumLength; i++) {
    text = digits.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** The bytes as one big-endian number in base 62, padded with zeros to `length` digits. */
function base62(bytes: Uint8Array, length: number): string {
  let rest = bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
  let text = "";
  for (let i = 0; i < length; i++) {
    text = digits.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}
