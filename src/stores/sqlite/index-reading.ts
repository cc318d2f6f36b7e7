import { existsSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { openConnection } from "./connection.ts";
import { isDamage } from "./failure.ts";
import { indexVersion, indexVersionOf } from "./index-file.ts";
import { prepare, type Statement } from "./statement.ts";

/** The index as a search sees it. Whenever it cannot be read, it holds nothing: then everything is searched directly. */
export type IndexReading = {
  /** Begins to look at one state of the index. @returns Up to which event it knows everything; 0 for nothing. */
  begin(): number;
  end(): void;
  /**
   * Positions of messages that may fit a match expression, between `from` and `to` (both included).
   *
   * @param order As in the search: the newest or the oldest first.
   */
  find(match: string, range: { from: number; to: number; order: "newest" | "oldest"; limit: number }): number[];
  close(): void;
};

type Open = {
  readonly db: DatabaseSync;
  readonly inode: number;
  readonly progress: Statement<{ event_position: number }>;
  readonly newest: Statement<{ rowid: number }>;
  readonly oldest: Statement<{ rowid: number }>;
};

/** @param onDamage Told once per file that cannot be read. */
export function openIndexForReading(file: string, onDamage: (reason: string) => void): IndexReading {
  let open: Open | undefined;

  /** The file may be made anew at any time: then what is open is the old one. */
  function current(): Open | undefined {
    const inode = existsSync(file) ? statSync(file).ino : 0;
    if (open?.inode === inode) return open;
    close();
    if (inode !== 0) open = openFile(file, inode);
    return open;
  }

  function close(): void {
    open?.db.close();
    open = undefined;
  }

  function giveUp(error: unknown): void {
    close();
    if (isDamage(error)) onDamage(error instanceof Error ? error.message : String(error));
  }

  return {
    begin() {
      try {
        const it = current();
        if (!it) return 0;
        it.db.exec("BEGIN");
        return it.progress.get()?.event_position ?? 0;
      } catch (error) {
        giveUp(error);
        return 0;
      }
    },
    end() {
      if (open?.db.isTransaction) open.db.exec("COMMIT");
    },
    find(match, { from, to, order, limit }) {
      if (!open) return [];
      const statement = order === "newest" ? open.newest : open.oldest;
      return statement.all(match, from, to, limit).map((it) => it.rowid);
    },
    close,
  };
}

function openFile(file: string, inode: number): Open | undefined {
  const db = openConnection(file, "reader");
  if (indexVersionOf(db) !== indexVersion) {
    db.close();
    return undefined; // Its owner is about to replace it.
  }
  const find = (direction: "DESC" | "ASC") =>
    prepare<{ rowid: number }>(
      db,
      `SELECT rowid FROM terms WHERE terms MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid ${direction} LIMIT ?`,
    );
  return {
    db,
    inode,
    progress: prepare(db, "SELECT event_position FROM progress"),
    newest: find("DESC"),
    oldest: find("ASC"),
  };
}
