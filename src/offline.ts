import { existsSync } from "node:fs";
import path from "node:path";
import { openAuditKey, readAuditKey } from "./app/audit-key.ts";
import { configuredMasterKeys } from "./app/master-keys.ts";
import type { AuditNote } from "./app/ports.ts";
import { systemClock } from "./base/clock.ts";
import { silentLog } from "./base/log.ts";
import { toTimestamp } from "./base/time.ts";
import type { RandomBytes } from "./base/uuid.ts";
import type { Config } from "./config.ts";
import { BusError } from "./contract/errors.ts";
import { type CountedKey, type KeyRecords, openKeyRing } from "./crypto/key-ring.ts";
import { openAuditFile } from "./stores/audit/file.ts";
import { type AuditVerdict, verifyAuditLog } from "./stores/audit/verify.ts";
import { openAuditHead } from "./stores/sqlite/audit-head.ts";
import { backupDatabase, checkDatabase, restoreDatabase } from "./stores/sqlite/backup.ts";
import { lockFolder } from "./stores/sqlite/lock.ts";
import { readKeyRecords } from "./stores/sqlite/offline-keys.ts";
import { databaseName } from "./stores/sqlite/schema.ts";

/*
 * What can be done to a hive's data folder without a server. The composition of the commands that do so: they know no
 * store, only this.
 */

export type Counts = { readonly messages: number; readonly deliveries: number; readonly events: number };
type OnProgress = (progress: { readonly done: number; readonly total: number }) => void;

/** Copies the hive as it is now into one file, also while a server works on it. @throws BusError */
export async function backUp(folder: string, target: string, onProgress: OnProgress): Promise<Counts> {
  const counts = await backupDatabase(folder, target, onProgress);
  await noteUnlessInUse(folder, { event: "hive_backed_up", detail: { messages: counts.messages } });
  return counts;
}

export type Restored = {
  readonly counts: Counts;
  /** Where the database that stood there before is now. */
  readonly moved_to: string | undefined;
};

/** Puts a backup in place; what stood there is kept aside. No server may be running there. @throws BusError */
export async function restore(file: string, folder: string, how: { readonly force: boolean }): Promise<Restored> {
  const restored = await restoreDatabase(file, folder, how);
  await noteUnlessInUse(folder, { event: "hive_restored", detail: { messages: restored.counts.messages } });
  return restored;
}

export function hasHive(folder: string): boolean {
  return existsSync(path.join(folder, databaseName));
}

export type Examined = { readonly problems: readonly string[]; readonly counts: Counts };

/** Reads the whole database and says what is wrong with it. @throws BusError */
export function examine(folder: string, onProgress: OnProgress): Examined {
  return checkDatabase(folder, onProgress);
}

/** Makes sure that no server works on the folder. @throws BusError `data_dir_in_use` naming the process that does. */
export function requireUnused(folder: string): void {
  lockFolder(folder)[Symbol.dispose]();
}

/**
 * Says whether the audit log of a folder is as the servers wrote it; also while one is at work.
 *
 * @throws BusError `invalid_input` where there is no hive or no key, `unavailable` where the key is not whole.
 */
export async function verifyAudit(folder: string): Promise<AuditVerdict> {
  const head = openAuditHead(folder);
  const key = await readAuditKey(folder);
  if (!key)
    throw new BusError("invalid_input", `${folder} has no audit key: no server that keeps an audit log has run there`);
  return await verifyAuditLog(folder, key, head.read);
}

/** The master key of a hive that has data keys, and how many of them it opens. */
export type OpenedKeys = { readonly source: string; readonly data_keys: number };

/**
 * Finds the master key as a server would and opens the hive's data keys with it; makes and changes nothing.
 *
 * @returns Undefined where no server has made keys there yet.
 * @throws BusError `key_unavailable`, with the file and the way out; `invalid_input` where there is no hive.
 */
export async function openKeys(
  config: Pick<Config, "data_dir" | "master_key_file">,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<OpenedKeys | undefined> {
  const { hive_id, records } = readKeyRecords(config.data_dir);
  const [known] = records;
  if (!known) return undefined;
  const randomBytes: RandomBytes = (bytes) => crypto.getRandomValues(bytes);
  const masterKeys = configuredMasterKeys({ hive_id, config, environment, randomBytes, onMade: () => undefined });
  const provider = await masterKeys.current(known.provider);
  const ring = await openKeyRing({
    hive_id,
    records: fixedRecords(records),
    provider,
    now: systemClock.now,
    randomBytes,
  });
  return { source: provider.source, data_keys: (await ring.status()).keys.length };
}

function fixedRecords(records: readonly CountedKey[]): KeyRecords {
  const refuse = () => Promise.reject(new Error("these records are only read"));
  return { load: async () => records, add: refuse, replaceAll: refuse };
}

/** A log has one writer: while a server works on the folder nothing can be added from here. */
async function noteUnlessInUse(folder: string, about: Pick<AuditNote, "event" | "detail">): Promise<void> {
  await using opened = new AsyncDisposableStack();
  try {
    opened.use(lockFolder(folder));
  } catch (error) {
    if (error instanceof BusError && error.code === "data_dir_in_use") return;
    throw error;
  }
  const key = await openAuditKey(folder, (bytes) => crypto.getRandomValues(bytes));
  const head = openAuditHead(folder);
  const log = opened.use(await openAuditFile({ folder, key, head, clock: systemClock, log: silentLog }));
  await log.append([{ at: toTimestamp(systemClock.now()), actor: "local", ...about }]);
}
