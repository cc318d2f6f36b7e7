import type { KeyObject } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, link, mkdir, open, realpath, rm } from "node:fs/promises";
import path from "node:path";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { keyBytes } from "./aes-gcm.ts";
import { parseKeyText } from "./key-text.ts";

/** The key that wraps a hive's data keys. Its bytes do not show in logs or JSON. */
export type MasterKey = {
  readonly key: KeyObject;
  /** Where it comes from, as people call it. */
  readonly source: string;
};

export type MasterKeyOptions = {
  /** The key itself (`HIVEPOST_MASTER_KEY`): 32 bytes in base64 or base64url. Wins over any file. */
  readonly key?: string | undefined;
  /** The file that holds it (`HIVEPOST_MASTER_KEY_FILE`), or else the default file of this hive. */
  readonly file: string;
  /** The hive's data folder: a key in there would be stolen, and backed up, together with what it protects. */
  readonly data_dir: string;
  /** Whether data keys have been wrapped already. Only without any is a missing key made. */
  readonly data_keys_exist: boolean;
  readonly randomBytes: RandomBytes;
};

/** A key file holds one line; whatever is larger than this is something else. */
const largestFile_bytes = 1_024;

/**
 * The master key from the environment or a file; a new hive's file is made, readable by its owner alone.
 *
 * @throws BusError `key_unavailable`, naming the file and the way out, never the key.
 */
export async function openMasterKey(options: MasterKeyOptions): Promise<MasterKey> {
  if (options.key !== undefined) {
    const source = "the key in HIVEPOST_MASTER_KEY";
    return { key: parseKeyText(options.key, source), source };
  }
  const file = path.resolve(options.file);
  await requireOutside(options.data_dir, file);
  const source = `the key file ${file}`;
  const key = (await readKeyFile(file, source)) ?? (await makeMissing(file, source, options));
  return { key, source };
}

export type UserFolders = {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

/**
 * The file of a hive's master key unless another is named: `hivepost/<hive id>.key` in the user's configuration folder. That is
 * `$XDG_CONFIG_HOME` or `~/.config`; on macOS `~/Library/Application Support`; on Windows `%APPDATA%`.
 */
export function defaultKeyFile(hive_id: string, { platform, home, environment }: UserFolders): string {
  const { join, isAbsolute } = platform === "win32" ? path.win32 : path.posix;
  // XDG Base Directory Specification: a path that is not absolute is to be ignored.
  const named = (folder: string | undefined) => (folder !== undefined && isAbsolute(folder) ? folder : undefined);
  const configurationFolder = () => {
    if (platform === "win32") return named(environment["APPDATA"]) ?? join(home, "AppData", "Roaming");
    if (platform === "darwin") return join(home, "Library", "Application Support");
    return named(environment["XDG_CONFIG_HOME"]) ?? join(home, ".config");
  };
  return join(configurationFolder(), "hivepost", `${hive_id}.key`);
}

/** The key in the file; undefined where there is none. Whatever others may do with it, they may not afterwards. */
async function readKeyFile(file: string, source: string): Promise<KeyObject | undefined> {
  try {
    // Without waiting: a pipe that nobody writes to would hold up a thread for ever.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await handle.stat();
    const key = parseKeyText(await readLine(handle, stats, source), source);
    // Only what is a key is changed: a path that came over the network may name any file.
    await tighten(handle, stats, source);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    if (error instanceof BusError) throw error;
    throw unavailable(`${source} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** No more than a key file may hold: what the system calls an empty file may go on for ever. */
async function readLine(handle: FileHandle, stats: Stats, source: string): Promise<string> {
  const buffer = Buffer.alloc(largestFile_bytes + 1);
  const { bytesRead } = stats.isFile() ? await handle.read(buffer) : { bytesRead: buffer.length };
  if (bytesRead <= largestFile_bytes) return buffer.toString("utf8", 0, bytesRead);
  throw unavailable(
    `${source} is no key file, but a folder, a pipe, a device or longer than ${largestFile_bytes} bytes`,
  );
}

async function tighten(handle: FileHandle, { mode }: Stats, source: string): Promise<void> {
  if ((mode & 0o077) === 0) return;
  await handle.chmod(0o600).catch((cause: Error) => {
    throw unavailable(`${source} can be read by others, and that cannot be changed; make it yours, with mode 0600`, {
      cause,
    });
  });
}

async function makeMissing(file: string, source: string, options: MasterKeyOptions): Promise<KeyObject> {
  if (options.data_keys_exist) {
    throw unavailable(
      `${source} is missing, and without it nothing of this hive can be read; bring it back from where you keep a copy, ` +
        "or name the file with HIVEPOST_MASTER_KEY_FILE",
    );
  }
  try {
    await makeKeyFile(file, options.randomBytes);
  } catch (cause) {
    throw unavailable(`${source} cannot be made: ${(cause as Error).message}`, { cause });
  }
  // Read back rather than remembered: where another process made it at the same moment, the file holds that one's key.
  const made = await readKeyFile(file, source);
  if (made) return made;
  throw unavailable(`${source} was taken away as soon as it was made`);
}

/** Whole or not at all, on disk before anybody relies on it, and never in the place of a key that is there. */
async function makeKeyFile(file: string, randomBytes: RandomBytes): Promise<void> {
  const folder = path.dirname(file);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const key = drawn(keyBytes, randomBytes);
  const unfinished = `${file}.${drawn(8, randomBytes).toString("hex")}.new`;
  try {
    await writeWhole(unfinished, `${key.toString("base64")}\n`);
    // Unlike a rename, a link never replaces what has the name already.
    await link(unfinished, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    key.fill(0);
    await rm(unfinished, { force: true });
  }
  // The new name is on disk once its folder is.
  await using parent = await open(folder, "r");
  await parent.sync();
}

async function writeWhole(file: string, text: string): Promise<void> {
  await using handle = await open(file, "wx", 0o600);
  await handle.chmod(0o600);
  await handle.writeFile(text);
  await handle.sync();
}

function drawn(length: number, randomBytes: RandomBytes): Buffer {
  const bytes = new Uint8Array(length);
  randomBytes(bytes);
  return Buffer.from(bytes.buffer);
}

async function requireOutside(data_dir: string, file: string): Promise<void> {
  const [folder, target] = await Promise.all([realPathOf(path.resolve(data_dir)), realPathOf(file)]);
  const way = path.relative(folder, target);
  if (way === ".." || way.startsWith(`..${path.sep}`) || path.isAbsolute(way)) return;
  throw unavailable(
    `the key file ${file} lies in the data folder ${data_dir}, so that whoever takes the one has the other; move it elsewhere and name ` +
      "that place with HIVEPOST_MASTER_KEY_FILE",
  );
}

/** With every symbolic link followed, as far as the path exists. */
async function realPathOf(wanted: string): Promise<string> {
  const real = await realpath(wanted).catch(() => undefined);
  if (real !== undefined) return real;
  const parent = path.dirname(wanted);
  return parent === wanted ? wanted : path.join(await realPathOf(parent), path.basename(wanted));
}

function unavailable(message: string, options: ErrorOptions = {}): BusError {
  return new BusError("key_unavailable", message, options);
}
