import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { AuditHead, AuditNote, AuditStore } from "../../src/app/ports.ts";
import { silentLog } from "../../src/base/log.ts";
import { openAuditFile } from "../../src/stores/audit/file.ts";
import { currentName, logFiles } from "../../src/stores/audit/lines.ts";
import { type AuditVerdict, verifyAuditLog } from "../../src/stores/audit/verify.ts";
import { clockAt } from "../support/fixtures.ts";

export const auditKey = new Uint8Array(32).fill(7);

/** A head that is kept in memory, and can be set to what it was. */
export type KeptHead = AuditHead & { text: string | undefined };

export function keptHead(text?: string): KeptHead {
  const head: KeptHead = {
    text,
    read: async () => head.text,
    async write(written) {
      head.text = written;
    },
  };
  return head;
}

export function aNote(overrides: Partial<AuditNote> = {}): AuditNote {
  return {
    at: "2026-01-05T09:00:00.000Z",
    event: "agent_removed",
    actor: "operator",
    detail: { dead: 0 },
    ...overrides,
  };
}

export function openLog(folder: string, head: AuditHead, file_bytes?: number): Promise<AuditStore & AsyncDisposable> {
  const options = { folder, key: auditKey, head, clock: clockAt(), log: silentLog };
  return openAuditFile(file_bytes === undefined ? options : { ...options, file_bytes });
}

/** Opens the log, writes these notes one after the other, and closes it. */
export async function writeLog(folder: string, head: AuditHead, notes: readonly AuditNote[], file_bytes?: number) {
  await using log = await openLog(folder, head, file_bytes);
  for (const note of notes) await log.append([note]);
}

export function verify(folder: string, head: AuditHead): Promise<AuditVerdict> {
  return verifyAuditLog(folder, auditKey, head.read);
}

export function currentText(folder: string): string {
  return readFileSync(path.join(folder, currentName), "latin1");
}

/** All lines of all files, without their ends. */
export async function allLines(folder: string): Promise<string[]> {
  const texts = (await logFiles(folder)).map((it) => readFileSync(path.join(folder, it), "latin1"));
  return texts.join("").split("\n").slice(0, -1);
}

/** A folder with these lines as its log. */
export function placeLines(folder: string, lines: readonly string[]): string {
  return placeText(folder, lines.map((it) => `${it}\n`).join(""));
}

export function placeText(folder: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, currentName), text, "latin1");
  return folder;
}
