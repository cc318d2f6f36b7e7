import type { DatabaseSync } from "node:sqlite";
import type { Reencrypted } from "../../app/ports.ts";
import { sealedEpoch } from "../../crypto/field-cipher.ts";
import { openBody, type SealedBody, sealBody } from "./rows.ts";
import { readMeta, removeMeta, writeMeta } from "./schema.ts";
import { prepare } from "./statement.ts";
import type { WriterState } from "./writer-state.ts";

type Row = SealedBody & { readonly position: number };

/**
 * Seals the next messages anew that an older epoch sealed, in the order of their positions. How far it has got stands on
 * disk with what it did, so that it goes on from there after any stop. Begins anew where there is a newer epoch meanwhile.
 */
export function createReencryption(state: WriterState) {
  const { db } = state;
  const next = prepare<Row>(
    db,
    "SELECT position, id, content, metadata FROM messages WHERE position > ? ORDER BY position LIMIT ?",
  );
  const put = prepare(db, "UPDATE messages SET content = ?, metadata = ? WHERE position = ?");
  const last = prepare<{ position: number | null }>(db, "SELECT MAX(position) AS position FROM messages");
  const first = prepare<{ position: number | null }>(db, "SELECT MIN(position) AS position FROM messages");

  /** @returns Whether it was not sealed under the newest epoch. */
  function sealAnew(row: Row, epoch: number): boolean {
    if (sealedEpoch(row.content) === epoch) return false;
    const body = openBody(state.cipher, row);
    // What does not open stays as it is: sealed anew it would pass for something that was said.
    if (body.unreadable !== undefined) return false;
    const metadata = JSON.stringify(body.metadata);
    const sealed = sealBody(state.cipher, { id: row.id, content: body.content, metadata });
    put.run(sealed.content, sealed.metadata, row.position);
    return true;
  }

  /** Positions grow with time. */
  function shareOf(position: number): number {
    const [from, to] = [first.get()?.position ?? 0, last.get()?.position ?? 0];
    return to > from ? (position - from) / (to - from) : 1;
  }

  return (epoch: number, limit: number): Reencrypted => {
    const isBegun = readMeta(db, "reencrypted_epoch") === epoch;
    const from = isBegun ? (readMeta(db, "reencrypted_position") ?? 0) : 0;
    const rows = next.all(from, limit);
    const resealed = rows.filter((row) => sealAnew(row, epoch)).length;
    const position = rows.at(-1)?.position ?? from;
    const done = rows.length < limit;
    note(db, done ? undefined : { reencrypted_epoch: epoch, reencrypted_position: position });
    return { looked_at: rows.length, resealed, done, share: done ? 1 : shareOf(position) };
  };
}

/** Where it has got to, or nothing once it is done. */
function note(
  db: DatabaseSync,
  progress: Record<"reencrypted_epoch" | "reencrypted_position", number> | undefined,
): void {
  for (const name of ["reencrypted_epoch", "reencrypted_position"] as const) {
    if (progress) writeMeta(db, name, progress[name]);
    else removeMeta(db, name);
  }
}
