import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";

/** Levels around a message's metadata on any transport: frame or JSON-RPC call, input, batch, message. */
const envelope_depth = 12;
const greatest_depth = limits.metadata_depth + envelope_depth;

/**
 * Bytes up to which a text is parsed without looking at its nesting first. V8 takes about 0.3 µs per level of nesting
 * (6 s for 8 MiB of brackets, measured 2026-11), so that a text this short costs at most about a millisecond.
 */
const harmless_bytes = 4_096;

const unicodeEscape = Buffer.from("\\u");
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** JSON from outside. @throws BusError `invalid_input` where the bytes are not UTF-8 or not JSON, or nest too deeply. */
export function parseJsonBytes(bytes: Buffer): unknown {
  if (bytes.length > harmless_bytes && nestsDeeperThan(bytes, greatest_depth)) {
    throw new BusError("invalid_input", `the JSON nests deeper than ${greatest_depth} levels`);
  }
  return parse(decode(bytes));
}

/**
 * Refuses half of a surrogate pair, which no store could give back as it came.
 *
 * @param bytes What `value` was parsed from. UTF-8 is well formed; only an escape (\ud800) can bring in half a pair.
 * @throws BusError `invalid_input`
 */
export function requireWellFormed(value: unknown, bytes: Buffer): void {
  if (bytes.includes(unicodeEscape)) checkWellFormed(value, 0);
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new BusError("invalid_input", "the text is not valid UTF-8", { cause });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BusError("invalid_input", `this is not JSON: ${(cause as Error).message}`, { cause });
  }
}

const quote = 0x22;
const backslash = 0x5c;
/** "{" and "[" differ in the bit 0x20, as "}" and "]" do. */
const opening = 0x7b;
const closing = 0x7d;

function nestsDeeperThan(bytes: Uint8Array, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === quote) i = endOfString(bytes, i + 1);
    else if ((byte | 0x20) === opening && ++depth > limit) return true;
    else if ((byte | 0x20) === closing) depth -= 1;
  }
  return false;
}

function endOfString(bytes: Uint8Array, start: number): number {
  let i = start;
  while (i < bytes.length && bytes[i] !== quote) i += bytes[i] === backslash ? 2 : 1;
  return i;
}

function checkWellFormed(value: unknown, depth: number): void {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new BusError("invalid_input", "a text holds half of a surrogate pair (\\ud800…)");
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (depth > greatest_depth)
    throw new BusError("invalid_input", `the JSON nests deeper than ${greatest_depth} levels`);
  for (const [key, field] of Object.entries(value)) {
    checkWellFormed(key, depth);
    checkWellFormed(field, depth + 1);
  }
}
