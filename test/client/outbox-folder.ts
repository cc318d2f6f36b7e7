import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openOutbox } from "../../src/client/outbox.ts";
import { laneOf, type QueuedMessage } from "../../src/client/outbox-file-node.ts";
import { ada, bob, type TemporaryFolder } from "../support/fixtures.ts";
import { createPostOffice } from "./post-office.ts";

export const canaries = ["CANARY", "Wörterbuch-Kanarie"];
export const saying = (text: string) => ({
  from_agent: bob,
  to_agent: ada,
  content: `CANARY ${text}`,
  metadata: { note: "Wörterbuch-Kanarie", nested: { deep: ["CANARY"] } },
});

/** An outbox folder and a key folder beside each other, and a post office that is closed for now. */
export async function scene(folder: TemporaryFolder) {
  const outboxes = path.join(folder.path, "outbox");
  await mkdir(outboxes, { recursive: true });
  const file = path.join(outboxes, "outbox.db");
  const key_file = path.join(folder.path, "keys", "outbox.key");
  const office = createPostOffice();
  office.state.up = false;
  const open = (changes: { file?: string; key_file?: string } = {}) =>
    openOutbox({ file, key_file, client: office.client, retry_max_ms: 5, ...changes });
  return { outboxes, file, key_file, office, open };
}

export async function fill(open: () => ReturnType<typeof openOutbox>, texts: readonly string[]): Promise<string[]> {
  await using outbox = open();
  const queued = await Promise.all(texts.map((it) => outbox.send(saying(it))));
  return queued.map((it) => it.id);
}

export function inDatabase<T>(file: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(file);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** Names of the files in a folder that hold one of these texts, as they lie on the disk in this moment. */
export async function filesWith(folder: string, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(folder)) {
    // The log comes and goes with its last user.
    const bytes = await readFile(path.join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return Buffer.alloc(0);
      throw error;
    });
    if (texts.some((text) => bytes.includes(text) || bytes.includes(Buffer.from(text, "utf16le")))) found.push(name);
  }
  return found;
}

/**
 * An outbox as the earlier version wrote it, in plain text: with these messages queued, the last of them refused for the reason
 * given, and traces of one that was sent and taken out.
 */
export function writePlainOutbox(file: string, messages: readonly QueuedMessage["message"][], reason: string): void {
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA journal_mode = WAL;
    CREATE TABLE outbox (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      lane TEXT NOT NULL,
      message TEXT NOT NULL,
      queued_at_ms INTEGER NOT NULL,
      state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'refused')),
      error_code TEXT,
      error_message TEXT
    ) STRICT;
    CREATE INDEX outbox_queued ON outbox (lane, seq) WHERE state = 'queued';
    PRAGMA user_version = 1;`);
  const add = database.prepare("INSERT INTO outbox (id, lane, message, queued_at_ms) VALUES (?, ?, ?, ?)");
  for (const it of messages) add.run(it.id, laneOf(it), JSON.stringify(it), 1);
  database
    .prepare("UPDATE outbox SET state = 'refused', error_code = 'invalid_input', error_message = ? WHERE id = ?")
    .run(reason, messages.at(-1)?.id ?? "");
  for (let n = 0; n < 50; n++) add.run(`sent-${n}`, "lane", `{"content":"CANARY sent ${n} ${"x".repeat(500)}"}`, 1);
  database.exec("DELETE FROM outbox WHERE lane = 'lane'");
  database.close();
}

/** A process that opens an outbox and closes it again. */
export function startOpener(file: string, key_file: string) {
  const opener = path.join(import.meta.dirname, "outbox-opening-worker.ts");
  const child = spawn(process.execPath, [opener, file, key_file], { stdio: ["ignore", "pipe", "inherit"] });
  const begun = once(child.stdout, "data");
  return {
    /** It is about to open. */
    begun,
    kill: () => child.kill("SIGKILL"),
    /** Its exit code; null where it was killed. */
    ended: once(child, "exit").then(([code]) => code as number | null),
  };
}
