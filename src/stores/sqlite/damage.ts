import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import type { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { parseJson } from "../../base/json.ts";
import { BusError } from "../../contract/errors.ts";
import { isDamage } from "./failure.ts";

/*
 * SQLite notices a broken page structure, but not a flipped bit in a text. So a clean stop leaves a sum of the whole file
 * beside it, and the next start checks it before SQLite opens the file. While a server runs there is no sum; after a crash
 * the structure alone is checked.
 */

const chunk_bytes = 1_048_576;
/** quick_check reads the whole file, at about 1 GiB/s from memory: above this a start after a crash goes without. */
const most_checked_bytes = 512 * 1_048_576;

type Sum = { readonly size_bytes: number; readonly crc32: readonly number[] };

/** Writes the sum of a database that nobody has open any more. */
export async function writeSum(file: string): Promise<void> {
  const sum: Sum = { size_bytes: statSync(file).size, crc32: await sumsOf(file) };
  writeFileSync(sumFile(file), JSON.stringify(sum), { mode: 0o600 });
}

/** Call once the database is open: from now on it changes. */
export function removeSum(file: string): void {
  rmSync(sumFile(file), { force: true });
}

/**
 * Compares a database with the sum its last clean stop left. Must run before this process opens the file with SQLite:
 * closing any descriptor of a file drops all of the process's locks on it.
 *
 * @returns Whether there was a sum to compare with.
 * @throws BusError `database_damaged`, naming the damaged range.
 */
export async function verifySum(file: string): Promise<boolean> {
  if (!existsSync(file) || !existsSync(sumFile(file))) return false;
  const sum = readSum(file);
  if (!sum) return false;
  const size_bytes = statSync(file).size;
  if (size_bytes !== sum.size_bytes) {
    throw damaged(file, `it has ${size_bytes} bytes, but had ${sum.size_bytes} when it was closed`);
  }
  for (const [index, found] of (await sumsOf(file)).entries()) {
    if (found === sum.crc32[index]) continue;
    const from = index * chunk_bytes;
    const to = Math.min(from + chunk_bytes, size_bytes) - 1;
    throw damaged(file, `bytes ${from} to ${to} are not what was written`);
  }
  return true;
}

/** @throws BusError `database_damaged` where SQLite finds its structure broken. */
export function requireHealthy(db: DatabaseSync, file: string): void {
  if (statSync(file).size > most_checked_bytes) return;
  const answer = asDamage(file, () => db.prepare("PRAGMA quick_check(1)").get());
  const [verdict] = Object.values(answer ?? {});
  if (verdict !== "ok") throw damaged(file, String(verdict));
}

/** Does something with a database; where SQLite calls the file damaged, so does the error. */
export function asDamage<T>(file: string, perform: () => T): T {
  try {
    return perform();
  } catch (cause) {
    if (isDamage(cause)) throw damaged(file, (cause as Error).message, cause);
    throw cause;
  }
}

/** @param what What was found, as the end of "it is damaged:". */
export function damaged(file: string, what: string, cause?: unknown): BusError {
  return new BusError(
    "database_damaged",
    `${file} is damaged: ${what}. Nothing was changed. Restore a backup with \`hivepost restore <backup> --force\`, ` +
      "which keeps the damaged file aside, or move the file away to begin anew.",
    { cause },
  );
}

function sumFile(file: string): string {
  return `${file}.sum`;
}

/** A sum that cannot be read says nothing about the database: then it goes without. */
function readSum(file: string): Sum | undefined {
  try {
    const sum = parseJson(readFileSync(sumFile(file), "utf8")) as Partial<Sum>;
    return typeof sum.size_bytes === "number" && Array.isArray(sum.crc32) ? (sum as Sum) : undefined;
  } catch {
    return undefined;
  }
}

async function sumsOf(file: string): Promise<number[]> {
  const sums: number[] = [];
  await using handle = await open(file, "r");
  const chunk = Buffer.alloc(chunk_bytes);
  for (let position = 0; ; ) {
    const { bytesRead } = await handle.read(chunk, 0, chunk_bytes, position);
    if (bytesRead === 0) return sums;
    // A read may stop short of the chunk before the end of the file; sums are of whole chunks.
    let filled = bytesRead;
    while (filled < chunk_bytes) {
      const more = await handle.read(chunk, filled, chunk_bytes - filled, position + filled);
      if (more.bytesRead === 0) break;
      filled += more.bytesRead;
    }
    sums.push(crc32(chunk.subarray(0, filled)));
    position += filled;
  }
}
