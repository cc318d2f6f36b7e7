import { readFile } from "node:fs/promises";
import { defined } from "../../base/defined.ts";
import { readHead, readLine } from "./chain.ts";
import { type AuditProblem, type JudgedLine, judge } from "./judge.ts";
import { currentName, inFolder, logFiles, nothingThere, splitLines } from "./lines.ts";

export type AuditVerdict = {
  readonly whole: boolean;
  /** How many entries form one unbroken chain from the first. */
  readonly entries: number;
  /** When the first and the last of these were written. */
  readonly from?: string;
  readonly to?: string;
  readonly problem?: AuditProblem;
  /** Where the first wrong line stands. */
  readonly file?: string;
  readonly line?: number;
  readonly explanation?: string;
  /** Length of an unfinished line at the end that no head vouches for: a crash leaves one, and the next start takes it out. */
  readonly unfinished_bytes?: number;
};

type Log = { readonly lines: readonly JudgedLine[]; readonly unfinished_bytes: number };

/** Looks once more where the files changed their names meanwhile: a server at work begins a new one now and then. */
const most_looks = 5;

/**
 * Reads the whole audit log of a folder, also beside a server at work, and says whether it is as the servers wrote it.
 *
 * @param readHeadText What the database keeps as the head; asked before the files are read, so that these can only be ahead.
 */
export async function verifyAuditLog(
  folder: string,
  key: Uint8Array,
  readHeadText: () => Promise<string | undefined>,
): Promise<AuditVerdict> {
  let verdict = await verifyOnce(folder, key, readHeadText);
  for (let looks = 1; "moved" in verdict; looks++) {
    const again = await verifyOnce(folder, key, readHeadText);
    verdict = looks === most_looks && "moved" in again ? again.moved : again;
  }
  return verdict;
}

type Looked = AuditVerdict | { readonly moved: AuditVerdict };

async function verifyOnce(
  folder: string,
  key: Uint8Array,
  readHeadText: () => Promise<string | undefined>,
): Promise<Looked> {
  const text = await readHeadText();
  const files = await logFiles(folder);
  const log = await readLog(folder, files, key);
  const after = await logFiles(folder);
  const verdict = verdictOf(log, text === undefined ? undefined : (readHead(key, text) ?? "untrusted"));
  return verdict.whole || files.join() === after.join() ? verdict : { moved: verdict };
}

async function readLog(folder: string, files: readonly string[], key: Uint8Array): Promise<Log> {
  const lines: JudgedLine[] = [];
  let unfinished_bytes = 0;
  for (const file of files) {
    const text = await readFile(inFolder(folder, file), "latin1").catch(nothingThere);
    const split = splitLines(file, text ?? "");
    for (const it of split.lines) lines.push(toJudged(key, it));
    unfinished_bytes = split.unfinished.length;
    // Only the file that grows can end in a line that is being written.
    if (unfinished_bytes > 0 && file !== files.at(-1)) {
      lines.push({ file, line: split.lines.length + 1, entry: undefined });
    }
  }
  return { lines, unfinished_bytes };
}

function toJudged(key: Uint8Array, { file, line, text }: { file: string; line: number; text: string }): JudgedLine {
  const entry = readLine(key, text);
  return { file, line, entry: entry && { seq: entry.seq, mac: entry.mac, prev: entry.prev, at: entry.at } };
}

function verdictOf({ lines, unfinished_bytes }: Log, head: Parameters<typeof judge>[1]): AuditVerdict {
  const judgement = judge(lines, head);
  const good = judgement.whole ? lines.length : Math.min(judgement.index, lines.length);
  const facts = defined({ entries: good, from: lines[0]?.entry?.at, to: lines[good - 1]?.entry?.at });
  if (judgement.whole) return { whole: true, ...facts, ...(unfinished_bytes > 0 && { unfinished_bytes }) };
  const { problem, index, explanation } = judgement;
  const wrong = lines[index];
  const last = lines.at(-1);
  const place = wrong ?? (last ? { file: last.file, line: last.line + 1 } : { file: currentName, line: 1 });
  return { whole: false, ...facts, problem, explanation, file: place.file, line: place.line };
}
