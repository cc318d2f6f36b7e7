import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Block } from "./numbered.ts";

/** What a soak must know to go on after it was interrupted. Numbers, not messages: it stays small. */
export type Journal = {
  /** Distinguishes the ids of this soak: 0 to 4095. */
  readonly run: number;
  /** Messages to send in all. */
  readonly messages: number;
  /** Set aside, so perhaps sent: the latest, and those of which some message has not come to its end. */
  readonly blocks: readonly Block[];
  /** Numbers below this have been set aside. */
  readonly reserved: number;
  /** Numbers below this had been sent when this was written. */
  readonly next: number;
  /** Numbers below that whose end was not known when this was written. */
  readonly open: readonly number[];
  /** Those of them that the server had accepted. */
  readonly accepted_open: readonly number[];
  /** Numbers that were never accepted, since an interruption came between. */
  readonly void: readonly number[];
  readonly totals: Totals;
  readonly complaints: readonly string[];
};

export type Totals = {
  readonly started_ms: number;
  /** Time that the soak was really going on, over all its sessions. */
  readonly active_ms: number;
  readonly sessions: number;
  readonly kills: number;
  readonly delivered_again: number;
  readonly leases_lost: number;
  readonly worst_downtime_ms: number;
};

const journalName = "soak.json";
const bitsName = "soak.audited";

/** The journal of a folder; undefined where none was begun. */
export function readJournal(folder: string): Journal | undefined {
  const file = path.join(folder, journalName);
  // Written by writeJournal, and by nothing else.
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Journal) : undefined;
}

export function writeJournal(folder: string, journal: Journal): void {
  mkdirSync(folder, { recursive: true });
  replace(path.join(folder, journalName), `${JSON.stringify(journal)}\n`);
}

/** How far the audit has come, and what it has ticked off. */
export type Ticked = { readonly since_ms: number; readonly bits: Uint8Array };

export function readTicked(folder: string): Ticked | undefined {
  const file = path.join(folder, bitsName);
  if (!existsSync(file)) return undefined;
  const content = readFileSync(file);
  return { since_ms: content.readDoubleLE(0), bits: new Uint8Array(content.subarray(8)) };
}

export function writeTicked(folder: string, { since_ms, bits }: Ticked): void {
  mkdirSync(folder, { recursive: true });
  const content = Buffer.alloc(8 + bits.length);
  content.writeDoubleLE(since_ms, 0);
  content.set(bits, 8);
  replace(path.join(folder, bitsName), content);
}

/** Whole or not at all, whenever the process is killed. */
function replace(file: string, content: string | Uint8Array): void {
  writeFileSync(`${file}.new`, content, { flush: true });
  renameSync(`${file}.new`, file);
}
