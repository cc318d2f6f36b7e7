import { createSecretKey, type KeyObject } from "node:crypto";
import { BusError } from "../contract/errors.ts";
import { keyBytes } from "./aes-gcm.ts";

/**
 * The key that a text holds: 32 bytes in base64 or base64url, with or without padding, between spaces or alone.
 *
 * @param source Where the text comes from, as people call it; the text itself is in no message.
 * @throws BusError `key_unavailable`
 */
export function parseKeyText(text: string, source: string): KeyObject {
  const given = text.trim();
  const bytes = Buffer.from(given, "base64");
  const plain = unpadded(given.replaceAll("-", "+").replaceAll("_", "/"));
  if (unpadded(bytes.toString("base64")) !== plain) {
    throw new BusError("key_unavailable", `${source} is not base64; ${howToMake}`);
  }
  if (bytes.length !== keyBytes) {
    throw new BusError(
      "key_unavailable",
      `${source} is ${bytes.length} bytes long, and a key is ${keyBytes}; ${howToMake}`,
    );
  }
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

const howToMake = `give it ${keyBytes} random bytes in base64, such as openssl rand -base64 ${keyBytes} makes`;

/** Padding is two characters at most; looking for more would take time in the square of what is there. */
function unpadded(base64: string): string {
  return base64.replace(/={1,2}$/, "");
}
