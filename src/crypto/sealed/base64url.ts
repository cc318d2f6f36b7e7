import { base64url } from "jose";

const foreign = /[^\w-]/;

/** After the groups of four characters: nothing, or two or three with four or two spare bits, all zero. */
const canonicalEnd = /^(?:|.[AQgw]|..[AEIMQUYcgkosw048])$/;

/**
 * Whether a base64url text is the one text that stands for its bytes. A lenient decoder ignores the spare bits of the last
 * character, so that several texts would pass for the same signed or sealed bytes.
 *
 * Not one expression for the whole: repeated groups fill the stack of the expression's engine with some 16 MiB of text, and it throws.
 */
export function isCanonicalBase64url(text: string): boolean {
  const end = text.slice(text.length - (text.length % 4));
  return !foreign.test(text) && canonicalEnd.test(end);
}

/** The bytes that a base64url text stands for; undefined where it is not the one text that stands for them. */
export function decodeBase64url(text: string): Uint8Array | undefined {
  return isCanonicalBase64url(text) ? base64url.decode(text) : undefined;
}
