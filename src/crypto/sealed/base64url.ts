import { base64url } from "jose";

/**
 * The bytes that a base64url text stands for; undefined where it is not the one text that stands for them. A lenient decoder
 * ignores the spare bits of the last character, so that several texts would pass for the same signed or sealed bytes.
 */
export function decodeBase64url(text: string): Uint8Array | undefined {
  const bytes = decodeLeniently(text);
  return bytes && base64url.encode(bytes) === text ? bytes : undefined;
}

function decodeLeniently(text: string): Uint8Array | undefined {
  try {
    return base64url.decode(text);
  } catch {
    // Told by the answer: the text is none.
    return undefined;
  }
}
