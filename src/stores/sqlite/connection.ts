import { closeSync, existsSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** Makes the file of a database, where there is none, for its owner alone; what SQLite puts beside it has the same rights. */
export function makePrivate(file: string): void {
  // One that is there may be open, and closing any descriptor of it would drop this process's locks on it.
  if (!existsSync(file)) closeSync(openSync(file, "ax", 0o600));
}

/** The pragmas of every connection. */
const common = { trusted_schema: 0, mmap_size: 0, temp_store: 2, foreign_keys: 1 } as const;

export type Role =
  /** The one connection that writes the hive. `synchronous = 2`: accepted means on disk. */
  | "writer"
  /** Copies the write-ahead log into the database, and syncs what it copied; writes nothing of its own. */
  | "checkpointer"
  /** Reads beside the writer; SQLite refuses it any write. */
  | "reader"
  /** Owns index.db, which can be made again, so it never waits for the disk. */
  | "indexer";

const pragmas: Readonly<Record<Role, Readonly<Record<string, number | string>>>> = {
  writer: {
    ...common,
    journal_mode: "wal",
    synchronous: 2,
    busy_timeout: 0,
    cache_size: -8_192,
    wal_autocheckpoint: 0,
  },
  checkpointer: { ...common, journal_mode: "wal", synchronous: 2, busy_timeout: 0, wal_autocheckpoint: 0 },
  reader: { ...common, busy_timeout: 1_000, cache_size: -8_192 },
  indexer: { ...common, journal_mode: "wal", synchronous: 0, busy_timeout: 1_000, cache_size: -8_192 },
};

/**
 * Opens a connection and sets its pragmas.
 *
 * @throws Error naming the pragma that SQLite did not take: one that is silently ignored (as `synchronous` inside a
 * transaction) would break the promise that accepted messages are on disk.
 */
export function openConnection(file: string, role: Role): DatabaseSync {
  if (role !== "reader") makePrivate(file);
  const db = new DatabaseSync(file, { readOnly: role === "reader", timeout: 1_000 });
  try {
    for (const [name, value] of Object.entries(pragmas[role])) {
      db.exec(`PRAGMA ${name} = ${value}`);
      const taken = pragmaOf(db, name);
      if (taken !== value) throw new Error(`SQLite answers ${name} = ${taken} after it was set to ${value}`);
    }
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function pragmaOf(db: DatabaseSync, name: string): unknown {
  // The column is not always named like the pragma: `PRAGMA busy_timeout` answers in a column "timeout".
  return Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}
