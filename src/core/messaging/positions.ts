const year2000_ms = 946_684_800_000;
/** Positions stay below 2^53, and so exact, until the year 2069. */
const last_ms = 2 ** 41 - 2;
const perMillisecond = 4_096;

/**
 * The first position of a message accepted at `ms`: positions sort by time, with room for 4,096 messages in each
 * millisecond. A message takes the first free position at or after this one.
 */
export function positionAt(ms: number): number {
  return Math.min(Math.max(0, ms - year2000_ms), last_ms) * perMillisecond;
}

/** How many milliseconds of positions a message at `position` stands behind its time: 0 but for crowds and set-back clocks. */
export function positionSkewMs(position: number, ms: number): number {
  return Math.max(0, Math.floor((position - positionAt(ms)) / perMillisecond));
}
