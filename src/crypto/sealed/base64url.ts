import { base64url } from "jose";

/** Groups of four characters; a last one of two or three has four or two spare bits, all zero. */
const canonical = /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/;

/**
 * Whether a base64url text is the one text that stands for its bytes. A lenient decoder ignores the spare bits of the last
 * character, so that several texts would pass for the same signed or sealed bytes.
 */
export function isCanonicalBase64url(text: string): boolean {
  return canonical.test(text);
}

/** The bytes that a base64url text stands for; undefined where it is not the one text that stands for them. */
export function decodeBase64url(text: string): Uint8Array | undefined {
  return isCanonicalBase64url(text) ? base64url.decode(text) : undefined;
}
