import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BusError } from "../contract/errors.ts";

/*
 * Small JSON files that belong to one user and are read and written by several processes: each is there whole or not at
 * all, and no change is lost, since every change is made under a lock that lies beside the file.
 */

const file_mode = 0o600;
const folder_mode = 0o700;
const others_mode = 0o077;
/** How long one waits for another process's change, which takes milliseconds. */
const lock_wait_ms = 5_000;
const lock_poll_ms = 10;
/** A lock this old was left behind by a process that died. */
const lock_stale_ms = 30_000;

/**
 * What a file says, or undefined where there is none.
 *
 * @throws BusError `invalid_input` where others may read the file, or it holds no JSON
 */
export async function readPrivateFile(file: string): Promise<unknown> {
  const text = await unlessMissing(readFile(file, "utf8"));
  if (text === undefined) return undefined;
  await requirePrivate(file);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BusError("invalid_input", `${file} holds no JSON; restore it from a copy or move it away`, { cause });
  }
}

/**
 * Replaces what a file says by what `change` makes of it, on disk when it returns; nobody else changes it meanwhile.
 *
 * @throws BusError `invalid_input` as on reading, `unavailable` where another process holds the lock for too long
 */
export async function changePrivateFile<T>(file: string, change: (before: unknown) => T): Promise<T> {
  await mkdir(path.dirname(file), { recursive: true, mode: folder_mode });
  await using _lock = await takeLock(`${file}.lock`);
  const after = change(await readPrivateFile(file));
  // One name, under the lock: what a process that died has left is overwritten, not kept.
  const draft = `${file}.tmp`;
  await writeWhole(draft, JSON.stringify(after, undefined, 2));
  await rename(draft, file);
  await syncFolder(path.dirname(file));
  return after;
}

async function requirePrivate(file: string): Promise<void> {
  const { mode } = await stat(file);
  // Windows has no such bits: its folders of a user are the user's alone.
  if ((mode & others_mode) === 0 || process.platform === "win32") return;
  throw new BusError("invalid_input", `${file} can be read by other users of this machine; run: chmod 600 ${file}`);
}

async function writeWhole(file: string, text: string): Promise<void> {
  await rm(file, { force: true });
  await using handle = await open(file, "wx", file_mode);
  await handle.writeFile(`${text}\n`);
  await handle.sync();
}

/** Makes a rename last: it is the folder that changes. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  await using handle = await open(folder, "r");
  await handle.sync();
}

async function takeLock(file: string): Promise<AsyncDisposable> {
  const giveUpAt = performance.now() + lock_wait_ms;
  while (!(await tryLock(file))) {
    if (performance.now() > giveUpAt) {
      throw new BusError("unavailable", `another process holds ${file}; if none does, remove that file`);
    }
    await removeStale(file);
    await sleep(lock_poll_ms);
  }
  return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
}

async function tryLock(file: string): Promise<boolean> {
  try {
    const handle = await open(file, "wx", file_mode);
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function removeStale(file: string): Promise<void> {
  const found = await unlessMissing(stat(file));
  if (found && Date.now() - found.mtimeMs > lock_stale_ms) await rm(file, { force: true });
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
