import { readMeta, writeMeta } from "./schema.ts";
import { prepare } from "./statement.ts";
import type { WriterState } from "./writer-state.ts";

/** Publications between two looks. */
const stride = 1_000;
/** Strides that a delivery may be open before it is entered in the index of open deliveries. */
const patience = 50;

export type Parking = {
  /** A message was accepted at this position. */
  count(position: number): void;
  /** Parks what has become old enough, at most one stride. */
  park(): void;
  rollBack(): void;
};

/**
 * Enters in their index the deliveries that stay open for long. Most are over within seconds and never cost it; a start
 * goes through those of the last `patience` strides instead (see schema.ts).
 */
export function createParking(state: WriterState): Parking {
  const { db } = state;
  const parkRange = prepare(
    db,
    `UPDATE deliveries SET parked = 1
     WHERE message_position >= ? AND message_position < ? AND parked = 0 AND state = 'ready'`,
  );
  let parkedBefore = readMeta(db, "parked_before") ?? 0;
  let published = 0;
  /** Positions at every `stride` publications, the oldest first. */
  const marks: number[] = [];
  return {
    count(position: number): void {
      published += 1;
      if (published % stride === 0) marks.push(position);
    },
    park(): void {
      if (marks.length <= patience) return;
      const before = marks.shift() ?? parkedBefore;
      // A mark of a batch that was rolled back may lie ahead; what comes next could then stand before it, unparked.
      if (before > state.lastPublished()) return;
      parkRange.run(parkedBefore, before);
      parkedBefore = before;
      writeMeta(db, "parked_before", before);
    },
    rollBack(): void {
      parkedBefore = readMeta(db, "parked_before") ?? 0;
    },
  };
}
