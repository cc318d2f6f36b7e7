import { existsSync, mkdirSync, rmSync } from "node:fs";
import { chmod, copyFile, open, rename } from "node:fs/promises";
import path from "node:path";
import { backup, DatabaseSync, type SQLInputValue } from "node:sqlite";
import { BusError } from "../../contract/errors.ts";
import { makePrivate, openConnection } from "./connection.ts";
import { asDamage, damaged } from "./damage.ts";
import { isDamage } from "./failure.ts";
import { requireDatabase } from "./folder.ts";
import { lockFolder } from "./lock.ts";
import { databaseName, readMetaText, removeMeta, schemaVersion, schemaVersionOf, writeMetaText } from "./schema.ts";
import { prepare } from "./statement.ts";

/** How far a long piece of work is: of `total` steps `done` are done. */
export type OnProgress = (progress: { readonly done: number; readonly total: number }) => void;

export type Counts = { readonly messages: number; readonly deliveries: number; readonly events: number };

/** Pages copied between two looks at the rest of the world: 4 MiB. */
const pages_per_step = 1_024;

/**
 * Copies a hive's database as it is at this moment, also while a server writes to it: the copy reads inside one
 * transaction, so what is written meanwhile is not in it. The target appears only once it has been checked.
 *
 * @throws BusError `invalid_input` where there is no hive or the target exists, `database_damaged` where the copy is not
 * whole.
 */
export async function backupDatabase(folder: string, target: string, onProgress: OnProgress): Promise<Counts> {
  const file = requireDatabase(folder);
  if (existsSync(target)) throw new BusError("invalid_input", `${target} exists already; name a file that does not`);
  const unfinished = `${target}.unfinished`;
  rmSync(unfinished, { force: true });
  makePrivate(unfinished);
  using source = openConnection(file, "reader");
  source.exec("BEGIN");
  try {
    const counts = asDamage(file, () => countRows(source));
    await backup(source, unfinished, {
      rate: pages_per_step,
      progress: ({ totalPages, remainingPages }) =>
        onProgress({ done: totalPages - remainingPages, total: totalPages }),
    });
    requireWhole(unfinished, counts);
    await syncFile(unfinished);
    await rename(unfinished, target);
    return counts;
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/**
 * Puts a backup in the place of a hive's database. What was there is moved aside, never deleted; tokens that are revoked there are
 * revoked in the backup's place too.
 *
 * @returns The folder that holds what was there before, if there was anything.
 * @throws BusError `data_dir_in_use` while a server runs there, `invalid_input` where there is a database and `force` is
 * not given, `database_damaged` or `database_newer` for a backup that cannot be used.
 */
export async function restoreDatabase(
  file: string,
  folder: string,
  { force }: { readonly force: boolean },
): Promise<{ readonly counts: Counts; readonly moved_to: string | undefined }> {
  if (!existsSync(file)) throw new BusError("invalid_input", `there is no file ${file}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  using _lock = lockFolder(folder);
  const target = path.join(folder, databaseName);
  if (existsSync(target) && !force) {
    throw new BusError(
      "invalid_input",
      `${folder} has a database already; with --force it is moved aside and the backup takes its place`,
    );
  }
  const arriving = path.join(folder, "restoring.db");
  await copyFile(file, arriving);
  try {
    await chmod(arriving, 0o600);
    const counts = requireUsable(arriving, file);
    keepWhatIsOfTheFolder(target, arriving);
    await syncFile(arriving);
    const moved_to = await moveAside(folder);
    await rename(arriving, target);
    return { counts, moved_to };
  } finally {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(arriving + suffix, { force: true });
  }
}

/**
 * Reads the whole database and says what is wrong with it: nothing, one hopes.
 *
 * @throws BusError `invalid_input` where there is no hive.
 */
export function checkDatabase(folder: string, onProgress: OnProgress): { problems: string[]; counts: Counts } {
  const file = requireDatabase(folder);
  using db = openConnection(file, "reader");
  const problems: string[] = [];
  for (const [done, { sql, problem }] of checks.entries()) {
    onProgress({ done, total: checks.length });
    for (const row of asDamage(file, () => db.prepare(sql).all())) {
      const found = Object.values(row)[0];
      if (found !== "ok" && found !== 0) problems.push(problem(String(found)));
    }
  }
  onProgress({ done: checks.length, total: checks.length });
  return { problems, counts: countRows(db) };
}

const checks: readonly { readonly sql: string; readonly problem: (found: string) => string }[] = [
  { sql: "PRAGMA integrity_check(20)", problem: (found) => found },
  {
    sql: `SELECT COUNT(*) FROM deliveries AS d
          WHERE NOT EXISTS (SELECT 1 FROM messages AS m WHERE m.position = d.message_position)`,
    problem: (found) => `${found} deliveries belong to no message`,
  },
  {
    sql: `SELECT COUNT(*) FROM messages AS m
          WHERE NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.message_position = m.position)`,
    problem: (found) => `${found} messages have no delivery`,
  },
  {
    sql: `SELECT COUNT(*) FROM messages AS m
          WHERE NOT EXISTS (SELECT 1 FROM conversations AS c WHERE c.id = m.conversation_id)`,
    problem: (found) => `${found} messages belong to no conversation`,
  },
  {
    sql: `SELECT COUNT(*) FROM deliveries AS d WHERE d.state = 'acknowledged' AND NOT EXISTS (
            SELECT 1 FROM events AS e WHERE e.message_position = d.message_position
              AND e.event IN ('acknowledged', 'imported'))`,
    problem: (found) => `${found} deliveries are acknowledged without an entry in their ledger`,
  },
];

function countRows(db: DatabaseSync): Counts {
  const count = (table: string) => Number(Object.values(db.prepare(`SELECT COUNT(*) FROM ${table}`).get() ?? {})[0]);
  return { messages: count("messages"), deliveries: count("deliveries"), events: count("events") };
}

function requireWhole(copy: string, expected: Counts): void {
  const found = requireUsable(copy, copy);
  for (const table of ["messages", "deliveries", "events"] as const) {
    if (found[table] === expected[table]) continue;
    throw damaged(copy, `the copy holds ${found[table]} ${table}, the original ${expected[table]}`);
  }
}

/** Leaves the file without a write-ahead log, so that it can be carried about alone. */
function requireUsable(file: string, calledByPeople: string): Counts {
  return asDamage(calledByPeople, () => {
    using db = new DatabaseSync(file);
    const version = schemaVersionOf(db);
    if (version === 0 || version > schemaVersion) throw unknownVersion(calledByPeople, version);
    db.exec("PRAGMA journal_mode = DELETE");
    const verdict = Object.values(db.prepare("PRAGMA quick_check(1)").get() ?? {})[0];
    if (verdict !== "ok") throw damaged(calledByPeople, String(verdict));
    return countRows(db);
  });
}

function unknownVersion(file: string, version: number): BusError {
  if (version === 0) return new BusError("invalid_input", `${file} is a database, but not one of Hivepost's`);
  return new BusError(
    "database_newer",
    `${file} has schema version ${version}, and this Hivepost knows versions up to ${schemaVersion}; use the newer Hivepost that wrote it`,
  );
}

/** The database and what goes with it; the index is made again from the database. */
async function moveAside(folder: string): Promise<string | undefined> {
  const names = ["", "-wal", "-shm", ".sum"].map((suffix) => databaseName + suffix);
  const present = names.filter((it) => existsSync(path.join(folder, it)));
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path.join(folder, `index.db${suffix}`), { force: true });
  if (present.length === 0) return undefined;
  let number = 1;
  while (existsSync(path.join(folder, `replaced-${number}`))) number += 1;
  const aside = path.join(folder, `replaced-${number}`);
  mkdirSync(aside, { mode: 0o700 });
  for (const name of present) await rename(path.join(folder, name), path.join(aside, name));
  return aside;
}

type Row = Readonly<Record<string, SQLInputValue>>;
type OfTheFolder = { readonly audit_head?: string | undefined; readonly revoked: readonly Row[] };

const tokenColumns = "key_id hash scopes agent_id created_at created_by expires_at last_used_at revoked_at".split(" ");

/**
 * The audit log belongs to the folder and not to the backup, so what was known of its end stays known. And a token that was
 * revoked after the backup was made does not come back to life with it, nor one that the backup knows nothing of.
 */
function keepWhatIsOfTheFolder(from: string, into: string): void {
  const { audit_head, revoked } = existsSync(from) ? readOfTheFolder(from) : { revoked: [] };
  using db = new DatabaseSync(into);
  if (audit_head === undefined) removeMeta(db, "audit_head");
  else writeMetaText(db, "audit_head", audit_head);
  const revoke = db.prepare(
    `INSERT INTO tokens (${tokenColumns.join(", ")}) VALUES (${tokenColumns.map((it) => `:${it}`).join(", ")})
     ON CONFLICT (key_id) DO UPDATE SET revoked_at = COALESCE(revoked_at, excluded.revoked_at)`,
  );
  for (const row of revoked) revoke.run({ ...row });
}

/** Nothing where the database is too damaged to say; then the audit log tells that its end is not known. */
function readOfTheFolder(file: string): OfTheFolder {
  try {
    using db = openConnection(file, "reader");
    if (schemaVersionOf(db) === 0) return { revoked: [] };
    const revoked = prepare<Row>(
      db,
      `SELECT ${tokenColumns.join(", ")} FROM tokens WHERE revoked_at IS NOT NULL`,
    ).all();
    return { audit_head: readMetaText(db, "audit_head"), revoked };
  } catch (error) {
    if (isDamage(error)) return { revoked: [] };
    throw error;
  }
}

async function syncFile(file: string): Promise<void> {
  await using handle = await open(file, "r+");
  await handle.sync();
}
