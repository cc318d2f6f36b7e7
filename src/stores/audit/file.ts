import { type FileHandle, open, rename } from "node:fs/promises";
import type { AuditHead, AuditNote, AuditQuery, AuditStore, Page } from "../../app/ports.ts";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { toTimestamp } from "../../base/time.ts";
import type { AuditEntry } from "../../contract/audit.ts";
import { BusError } from "../../contract/errors.ts";
import { type Link, readLine, sealEntry, toLine } from "./chain.ts";
import { createHeadKeeper } from "./head-keeper.ts";
import { currentName, fullName, inFolder, logFiles } from "./lines.ts";
import { matches } from "./matches.ts";
import { linesFromEnd } from "./read-back.ts";
import { type Finding, syncFolder, takeUp } from "./take-up.ts";

export type AuditFileOptions = {
  /** The data folder; whoever opens this holds its lock. */
  readonly folder: string;
  /** The hive's audit key, 32 bytes. */
  readonly key: Uint8Array;
  readonly head: AuditHead;
  readonly clock: Clock;
  readonly log: Log;
  /** Size above which the next entry begins a new file. */
  readonly file_bytes?: number;
};

/** Some 50,000 entries: a file that an editor still opens. */
const usual_file_bytes = 16 * 1_024 * 1_024;

/** Entries on their way to the disk together. */
type Waiting = { readonly notes: readonly AuditNote[]; readonly written: PromiseWithResolvers<void> };

/** The audit log as files of lines, chained as in `chain.ts`. Opening it tells in the log what was found wrong with it. */
export async function openAuditFile(options: AuditFileOptions): Promise<AuditStore & AsyncDisposable> {
  const { folder, key, head, clock, log, file_bytes = usual_file_bytes } = options;
  const headText = await head.read();
  const { findings, ...taken } = await takeUp(folder, key, headText);
  let { handle, size_bytes, last } = taken;
  /** Something of a failed write may stand behind `size_bytes`. */
  let isDirty = false;
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;
  const heads = createHeadKeeper(head, key, log);

  const write = async (notes: readonly AuditNote[]) => {
    if (isDirty) await handle.truncate(size_bytes);
    isDirty = false;
    if (size_bytes > file_bytes) {
      handle = await beginFile(folder, handle, last.seq);
      size_bytes = 0;
    }
    const { bytes, link } = chained(key, notes, last);
    isDirty = true;
    await handle.appendFile(bytes);
    await handle.datasync();
    isDirty = false;
    size_bytes += bytes.length;
    last = link;
    heads.keep(last);
  };
  /** All that came while the disk was busy goes with one synchronisation. */
  const writeAll = async () => {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      await write(group.flatMap((it) => it.notes)).then(
        () => group.forEach((it) => void it.written.resolve()),
        (cause: unknown) => group.forEach((it) => void it.written.reject(notWritten(cause))),
      );
    }
    // In the same turn in which nothing was left, lest somebody come between and wait for ever.
    writing = undefined;
  };
  const append = (notes: readonly AuditNote[]): Promise<void> => {
    const written = Promise.withResolvers<void>();
    waiting.push({ notes, written });
    writing ??= writeAll();
    return written.promise;
  };

  // Written before there is any line: from then on a missing head is a sign.
  if (headText === undefined) heads.keep(last);
  await heads.settled();
  if (findings.length > 0) await append(findings.map((it) => noteOf(it, { clock, log })));
  return {
    append,
    entries: (query) => entriesOf(folder, key, query),
    async [Symbol.asyncDispose]() {
      await writing;
      heads.keep(last);
      await heads.settled();
      await handle.close();
    },
  };
}

function noteOf({ event, detail }: Finding, { clock, log }: Pick<AuditFileOptions, "clock" | "log">): AuditNote {
  if (event === "audit_mended") log.warn({ ...detail }, "took an unfinished line out of the audit log");
  else log.error({ ...detail }, "the audit log is not as it was left; hivepost audit verify tells more");
  return { at: toTimestamp(clock.now()), event, actor: "system", detail };
}

/** The full file gets a name of its own, and the chain goes on in a new one. */
async function beginFile(folder: string, full: FileHandle, last_seq: number): Promise<FileHandle> {
  const current = inFolder(folder, currentName);
  await rename(current, inFolder(folder, fullName(last_seq)));
  const handle = await open(current, "a", 0o600);
  await full.close();
  await syncFolder(folder);
  return handle;
}

function chained(key: Uint8Array, notes: readonly AuditNote[], from: Link): { bytes: Buffer; link: Link } {
  let link = from;
  const lines = notes.map((note) => {
    const entry = sealEntry(key, note, link);
    link = entry;
    return `${toLine(entry)}\n`;
  });
  return { bytes: Buffer.from(lines.join(""), "latin1"), link: { seq: link.seq, mac: link.mac } };
}

const noSpace: ReadonlySet<string | undefined> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

function notWritten(cause: unknown): BusError {
  if (noSpace.has((cause as NodeJS.ErrnoException).code)) {
    return new BusError(
      "storage_full",
      "there is no space for the audit log: nothing was done; free some and try again",
      {
        cause,
        retry_after_ms: 5_000,
      },
    );
  }
  return new BusError("unavailable", "the audit log cannot be written: nothing was done; the server's log says why", {
    cause,
    retry_after_ms: 5_000,
  });
}

/** Looks once more where a new file was begun meanwhile. */
const most_looks = 5;

async function entriesOf(folder: string, key: Uint8Array, query: AuditQuery): Promise<Page<AuditEntry>> {
  for (let looks = 1; ; looks++) {
    const files = await logFiles(folder);
    const page = await pageOf(folder, key, { query, files });
    if (looks === most_looks || files.join() === (await logFiles(folder)).join()) return page;
  }
}

async function pageOf(
  folder: string,
  key: Uint8Array,
  { query, files }: { readonly query: AuditQuery; readonly files: readonly string[] },
): Promise<Page<AuditEntry>> {
  const rows: AuditEntry[] = [];
  for (const name of files.toReversed()) {
    for await (const line of linesFromEnd(inFolder(folder, name))) {
      const entry = readLine(key, line);
      if (!entry || !matches(entry, query)) continue;
      if (rows.length === query.limit) return { rows, ...nextOf(rows) };
      rows.push(entry);
    }
  }
  return { rows };
}

function nextOf(rows: readonly AuditEntry[]): { next?: number } {
  const last = rows.at(-1);
  return last ? { next: last.seq } : {};
}
