import { type FileHandle, open } from "node:fs/promises";
import { nothingThere } from "./lines.ts";

/** Bytes read at once: some 200 lines, which take less than a millisecond to look through. */
const block_bytes = 64 * 1_024;

/**
 * The finished lines of a file from the last to the first, one character per byte; what is read is never more than asked for,
 * and the event loop turns between two blocks. Nothing where there is no such file.
 */
export async function* linesFromEnd(file: string): AsyncGenerator<string> {
  const handle = await open(file, "r").catch(nothingThere);
  if (!handle) return;
  try {
    yield* linesOf(handle);
  } finally {
    await handle.close();
  }
}

async function* linesOf(handle: FileHandle): AsyncGenerator<string> {
  const { size } = await handle.stat();
  let rest = "";
  /** What stands after the last end of a line is unfinished, and no line. */
  let isUnfinished = true;
  for (let end = size; end > 0; end -= block_bytes) {
    const start = Math.max(0, end - block_bytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(end - start), 0, end - start, start);
    const [begun = "", ...lines] = (buffer.toString("latin1", 0, bytesRead) + rest).split("\n");
    rest = begun;
    if (isUnfinished && lines.length > 0) {
      lines.pop();
      isUnfinished = false;
    }
    yield* lines.reverse();
  }
  if (!isUnfinished) yield rest;
}
