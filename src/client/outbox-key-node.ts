import { type KeyObject, randomBytes, randomUUID } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { BusError } from "../contract/errors.ts";
import { keyBytes } from "../crypto/aes-gcm.ts";
import { parseKeyText } from "../crypto/key-text.ts";

/** A key file holds one line; whatever is larger than this is something else. */
const largestFile_bytes = 1_024;
const others_mode = 0o077;

/**
 * The key in a file; undefined where there is no file. Whatever others may do with the file, they may not afterwards.
 *
 * @throws BusError `key_unavailable`, naming the file and never the key.
 */
export function readOutboxKey(file: string): KeyObject | undefined {
  const source = `the key file ${file}`;
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return undefined;
    throw unavailable(`${source} cannot be read: ${(cause as Error).message}`, cause);
  }
  try {
    return parseKeyText(readTightened(descriptor, source), source);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The key in a file, which is made where there is none: readable by its owner alone, and on disk before anything is sealed
 * with it.
 *
 * @throws BusError `key_unavailable`
 */
export function makeOutboxKey(file: string): KeyObject {
  try {
    makeKeyFile(file);
  } catch (cause) {
    throw unavailable(`the key file ${file} cannot be made: ${(cause as Error).message}`, cause);
  }
  // Read back rather than remembered: where another process made it at the same moment, the file holds that one's key.
  const key = readOutboxKey(file);
  if (key) return key;
  throw unavailable(`the key file ${file} was removed while it was being made; open the outbox again`);
}

/** Whoever takes or copies a folder shall not have the key together with what it protects. @throws BusError `key_unavailable` */
export function requireApart(key_file: string, outbox_file: string): void {
  if (folderOf(key_file) !== folderOf(outbox_file)) return;
  throw unavailable(
    `the key file ${key_file} lies beside the outbox ${outbox_file}, so that whoever takes the one has the other; move one of ` +
      "them, and name the key's place with HIVEPOST_OUTBOX_KEY_FILE",
  );
}

function readTightened(descriptor: number, source: string): string {
  const stats = fstatSync(descriptor);
  if (!stats.isFile() || stats.size > largestFile_bytes) {
    throw unavailable(`${source} is no key file, but a folder or longer than ${largestFile_bytes} bytes`);
  }
  // Windows has no such bits: its folders of a user are the user's alone.
  if (stats.mode & others_mode && process.platform !== "win32") {
    try {
      fchmodSync(descriptor, 0o600);
    } catch (cause) {
      throw unavailable(
        `${source} can be read by others, and that cannot be changed; make it yours, with mode 0600`,
        cause,
      );
    }
  }
  return readFileSync(descriptor, "utf8");
}

/** Whole or not at all, and never in the place of a key that is there. */
function makeKeyFile(file: string): void {
  const folder = path.dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = randomBytes(keyBytes);
  const unfinished = `${file}.${randomUUID()}.new`;
  try {
    writeFileSync(unfinished, `${key.toString("base64")}\n`, { flag: "wx", mode: 0o600, flush: true });
    // Unlike a rename, a link never replaces what has the name already.
    linkSync(unfinished, file);
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
  } finally {
    key.fill(0);
    rmSync(unfinished, { force: true });
  }
  syncFolder(folder);
}

/** The new name is on disk once its folder is. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** With every symbolic link followed, where there is such a folder. */
function folderOf(file: string): string {
  const folder = path.dirname(path.resolve(file));
  try {
    return realpathSync(folder);
  } catch (error) {
    if (isCode(error, "ENOENT")) return folder;
    throw unavailable(`the folder ${folder} cannot be used: ${(error as Error).message}`, error);
  }
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}

function unavailable(message: string, cause?: unknown): BusError {
  return new BusError("key_unavailable", message, { cause });
}
