import { createHmac, timingSafeEqual } from "node:crypto";
import type { AuditNote } from "../../app/ports.ts";
import { parseJson } from "../../base/json.ts";
import type { AuditEntry } from "../../contract/audit.ts";

/*
 * The chain that the audit log is: each line ends with a MAC over all its other bytes, and holds the MAC of the line before
 * it. Who has not the key can neither change a line nor take one out nor put two in another order without its showing.
 *
 * The head is the last line's number and MAC, kept apart from the file, so that lines cut off at the end are missed. It has a
 * seal of its own: who can write to both places still cannot make the head that an earlier line would have had.
 */

/** The part of a line that the next one hangs on. */
export type Link = Pick<AuditEntry, "seq" | "mac">;

/** What the first line hangs on. */
export const beginning: Link = { seq: 0, mac: "" };

/** Turns a note into the entry that follows `last`. */
export function sealEntry(key: Uint8Array, note: AuditNote, last: Link): AuditEntry {
  const { at, event, actor, key_id, address, detail } = note;
  const body = {
    seq: last.seq + 1,
    at,
    event,
    actor,
    ...(key_id !== undefined && { key_id }),
    ...(address !== undefined && { address }),
    detail,
    prev: last.mac,
  };
  return { ...body, mac: macOf(key, "line", asciiJson(body)) };
}

/** The entry as it stands in the file, without the end of the line. Pure ASCII, so that no two byte sequences read the same. */
export function toLine(entry: AuditEntry): string {
  return asciiJson(entry);
}

const shape = /^(\{.*),"mac":"([\w-]{43})"\}$/;

/** The entry on a line, where its MAC is right; undefined for whatever else. @param line One character per byte. */
export function readLine(key: Uint8Array, line: string): AuditEntry | undefined {
  const [, body, mac] = shape.exec(line) ?? [];
  if (body === undefined || mac === undefined || !sameMac(mac, macOf(key, "line", `${body}}`))) return undefined;
  // Only `sealEntry` makes lines with a right MAC.
  return parseJson(line) as AuditEntry;
}

export function sealHead(key: Uint8Array, { seq, mac }: Link): string {
  return JSON.stringify({ seq, mac, seal: sealOf(key, { seq, mac }) });
}

/** The head, where its seal is right. @throws never: what cannot be read has no right seal. */
export function readHead(key: Uint8Array, text: string): Link | undefined {
  const [, seq, mac, seal] = /^\{"seq":(\d+),"mac":"([\w-]*)","seal":"([\w-]{43})"\}$/.exec(text) ?? [];
  if (seq === undefined || mac === undefined) return undefined;
  const link: Link = { seq: Number(seq), mac };
  return seal !== undefined && sameMac(seal, sealOf(key, link)) ? link : undefined;
}

function sealOf(key: Uint8Array, { seq, mac }: Link): string {
  return macOf(key, "head", `${seq} ${mac}`);
}

/** The purpose goes in first: a line can never be taken for a head. */
function macOf(key: Uint8Array, purpose: "line" | "head", text: string): string {
  return createHmac("sha256", key).update(`hivepost audit ${purpose}\n`).update(text, "latin1").digest("base64url");
}

/** In a time that does not tell how much of a guess was right. As texts: the bytes of a MAC have several, and one is right. */
function sameMac(shown: string, computed: string): boolean {
  const [a, b] = [Buffer.from(shown, "latin1"), Buffer.from(computed, "latin1")];
  return a.length === b.length && timingSafeEqual(a, b);
}

function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
