import { type FileHandle, open } from "node:fs/promises";
import path from "node:path";
import type { AuditDetail } from "../../contract/audit.ts";
import { beginning, type Link, readHead, readLine } from "./chain.ts";
import { currentName, inFolder, logFiles } from "./lines.ts";
import { linesFromEnd } from "./read-back.ts";

/** What a start finds wrong, and tells in the log itself. */
export type Finding = { readonly event: "audit_mended" | "audit_damaged"; readonly detail: AuditDetail };

export type TakenUp = {
  readonly handle: FileHandle;
  readonly size_bytes: number;
  /** What the next line hangs on. */
  readonly last: Link;
  readonly findings: readonly Finding[];
};

/**
 * Opens the log where it was left.
 *
 * A line is written, then synchronised, then told to the head; a crash may come between any two. So an unfinished last line was
 * never promised to anybody and is taken out, and a file ahead of its head is as it should be. A file behind its head has
 * been cut: the log goes on from the head, so that the gap stays to be seen for ever.
 */
export async function takeUp(folder: string, key: Uint8Array, headText: string | undefined): Promise<TakenUp> {
  const file = inFolder(folder, currentName);
  const handle = await open(file, "a", 0o600);
  try {
    await handle.chmod(0o600);
    const { size_bytes, unfinished_bytes } = await dropUnfinished(handle, file);
    await syncFolder(folder);
    const lastLine = await readLastLine(folder);
    const written = lastLine === undefined ? beginning : readLine(key, lastLine);
    const head = headText === undefined ? undefined : readHead(key, headText);
    const mended = unfinished_bytes > 0 ? [mendedBy(unfinished_bytes)] : [];
    const damage = damageOf({ headText, head, written });
    return { handle, size_bytes, last: latest(written, head), findings: [...mended, ...damage] };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** New names are on disk once their folder is. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}

async function dropUnfinished(handle: FileHandle, file: string) {
  const written_bytes = (await handle.stat()).size;
  const size_bytes = await finishedBytes(file, written_bytes);
  if (size_bytes < written_bytes) {
    await handle.truncate(size_bytes);
    await handle.sync();
  }
  return { size_bytes, unfinished_bytes: written_bytes - size_bytes };
}

/** Up to and with the last end of a line. */
async function finishedBytes(file: string, written_bytes: number): Promise<number> {
  await using handle = await open(file, "r");
  const block = Buffer.alloc(64 * 1_024);
  for (let end = written_bytes; end > 0; end -= block.length) {
    const start = Math.max(0, end - block.length);
    const { bytesRead } = await handle.read(block, 0, end - start, start);
    const lineEnd = block.subarray(0, bytesRead).lastIndexOf("\n");
    if (lineEnd !== -1) return start + lineEnd + 1;
  }
  return 0;
}

async function readLastLine(folder: string): Promise<string | undefined> {
  for (const name of (await logFiles(folder)).reverse()) {
    for await (const line of linesFromEnd(path.join(folder, name))) return line;
  }
  return undefined;
}

function latest(written: Link | undefined, head: Link | undefined): Link {
  if (!written) return head ?? beginning;
  return head && head.seq > written.seq ? head : written;
}

function mendedBy(dropped_bytes: number): Finding {
  return { event: "audit_mended", detail: { problem: "unfinished_line", dropped_bytes } };
}

type Ends = { headText: string | undefined; head: Link | undefined; written: Link | undefined };

function damageOf({ headText, head, written }: Ends): Finding[] {
  const damaged = (detail: AuditDetail): Finding[] => [{ event: "audit_damaged", detail }];
  if (!written) return damaged({ problem: "edited", place: "last line" });
  // A hive whose first start this is.
  if (headText === undefined && written.seq === 0) return [];
  if (!head) return damaged({ problem: "head_lost" });
  if (head.seq > written.seq) {
    return damaged({ problem: "cut_off", from_seq: written.seq + 1, to_seq: head.seq });
  }
  return [];
}
