import type { DatabaseSync } from "node:sqlite";
import { prepare } from "./statement.ts";

/** Finds positions that no message has. */
export type FreePositions = {
  /** For a message that comes now: takes the first free one at or after this. */
  takeNext(from: number): number;
  /** For one from the past, likewise. */
  takeAt(from: number): number;
  /** What was learnt no longer holds: positions have become free. */
  forget(): void;
};

const mostRemembered = 10_000;

export function createFreePositions(db: DatabaseSync): FreePositions {
  const isTaken = prepare<object>(db, "SELECT 1 FROM messages WHERE position = ?");
  const last = prepare<{ position: number | null }>(db, "SELECT MAX(position) AS position FROM messages").get();
  /** Beyond this nothing is taken, so what comes now seldom needs to look. */
  let lastTaken = last?.position ?? 0;
  /** Wanted → where to look on: many imports are of one moment. */
  const lookFrom = new Map<number, number>();

  function firstFree(from: number): number {
    let position = from;
    while (position <= lastTaken && isTaken.get(position)) position += 1;
    return position;
  }

  function take(from: number): number {
    const position = firstFree(from);
    lastTaken = Math.max(lastTaken, position);
    return position;
  }

  return {
    takeNext: take,
    takeAt(from) {
      const position = take(lookFrom.get(from) ?? from);
      if (lookFrom.size >= mostRemembered) lookFrom.clear();
      lookFrom.set(from, position + 1);
      return position;
    },
    forget: () => lookFrom.clear(),
  };
}
