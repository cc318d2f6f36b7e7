import { readdir } from "node:fs/promises";
import path from "node:path";

/** The file that grows. */
export const currentName = "audit.jsonl";

/** The name that a full file gets: by its first entry, so that names sort as entries do. */
export function fullName(first_seq: number): string {
  return `audit-${String(first_seq).padStart(12, "0")}.jsonl`;
}

/** The names of the files of a log that are there, the oldest first. */
export async function logFiles(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(nothingThere)) ?? [];
  const full = names.filter((it) => /^audit-\d{12}\.jsonl$/.test(it)).sort();
  return names.includes(currentName) ? [...full, currentName] : full;
}

/** One line where it stands. */
export type Line = { readonly file: string; readonly line: number; readonly text: string };

/** The lines of a file and what stands after the last of them, unfinished. @param text One character per byte. */
export function splitLines(file: string, text: string): { readonly lines: Line[]; readonly unfinished: string } {
  const parts = text.split("\n");
  const unfinished = parts.pop() ?? "";
  return { lines: parts.map((it, index) => ({ file, line: index + 1, text: it })), unfinished };
}

/** Path of a file of the log. */
export function inFolder(folder: string, name: string): string {
  return path.join(folder, name);
}

/** For `catch`: undefined where there is no such file or folder. */
export function nothingThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
