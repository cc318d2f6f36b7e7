import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { BusError } from "../../contract/errors.ts";
import { makePrivate } from "./connection.ts";
import { failureOf } from "./failure.ts";

const lockName = "lock.db";
const holderName = "lock.pid";

/**
 * Keeps every other server off a data folder until disposed. The lock is an exclusive transaction on a small database of
 * its own: the system drops it when the process ends, however it ends, so no stale lock is ever left to be removed by hand.
 *
 * @throws BusError `data_dir_in_use`, naming the process that holds it.
 */
export function lockFolder(folder: string): Disposable {
  const file = path.join(folder, lockName);
  makePrivate(file);
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    db.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    db.close();
    if (failureOf(cause) !== "busy") throw cause;
    throw new BusError(
      "data_dir_in_use",
      `another server (${holderOf(folder)}) works on ${folder}; stop it, or give this one its own --data-dir`,
      { cause },
    );
  }
  writeFileSync(path.join(folder, holderName), `${process.pid}\n`, { mode: 0o600 });
  return { [Symbol.dispose]: () => db.close() };
}

/** Beside the lock, because what is locked cannot be read. */
function holderOf(folder: string): string {
  try {
    return `process ${readFileSync(path.join(folder, holderName), "utf8").trim()}`;
  } catch {
    // It has just begun, and not said yet who it is.
    return "a process that has not told its number";
  }
}
