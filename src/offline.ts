import { existsSync } from "node:fs";
import path from "node:path";
import { backupDatabase, checkDatabase, restoreDatabase } from "./stores/sqlite/backup.ts";
import { lockFolder } from "./stores/sqlite/lock.ts";
import { databaseName } from "./stores/sqlite/schema.ts";

/*
 * What can be done to a hive's data folder without a server. The composition of the commands that do so: they know no
 * store, only this.
 */

export type Counts = { readonly messages: number; readonly deliveries: number; readonly events: number };
type OnProgress = (progress: { readonly done: number; readonly total: number }) => void;

/** Copies the hive as it is now into one file, also while a server works on it. @throws BusError */
export async function backUp(folder: string, target: string, onProgress: OnProgress): Promise<Counts> {
  return await backupDatabase(folder, target, onProgress);
}

export type Restored = {
  readonly counts: Counts;
  /** Where the database that stood there before is now. */
  readonly moved_to: string | undefined;
};

/** Puts a backup in place; what stood there is kept aside. No server may be running there. @throws BusError */
export async function restore(file: string, folder: string, how: { readonly force: boolean }): Promise<Restored> {
  return await restoreDatabase(file, folder, how);
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
