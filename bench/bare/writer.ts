import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { BareBatch } from "./server.ts";

/* The writer thread of the bare server: one table, one transaction and one fsync per batch. */

const db = new DatabaseSync(String(workerData));
db.exec("PRAGMA journal_mode = wal; PRAGMA synchronous = 2");
db.exec("CREATE TABLE messages (position INTEGER PRIMARY KEY, to_agent TEXT, content TEXT, acknowledged INTEGER)");
const insert = db.prepare("INSERT INTO messages VALUES (?, ?, ?, 0)");
const acknowledge = db.prepare("UPDATE messages SET acknowledged = 1 WHERE position = ?");

parentPort?.on("message", ({ first, sent, acknowledged }: BareBatch) => {
  db.exec("BEGIN");
  for (let i = 0; i < sent.length; i += 2) insert.run(first + i / 2, sent[i] ?? "", sent[i + 1] ?? "");
  for (const position of acknowledged) acknowledge.run(position);
  db.exec("COMMIT");
  parentPort?.postMessage("done");
});
