import { type Moment, moments, type Priority, priorities } from "../../contract/messages.ts";

/** 0 for urgent to 3 for low. */
export function rankOf(priority: Priority): number {
  return priorities.indexOf(priority);
}

/**
 * The rank a ready delivery has now: its own, or one better once it has waited longer than `aging_ms`, so that a steady
 * stream of more important mail does not starve it.
 *
 * @param waited_ms Time since it could first have been handed out.
 */
export function effectiveRank(rank: number, waited_ms: number, aging_ms: number | undefined): number {
  return aging_ms !== undefined && waited_ms > aging_ms ? Math.max(0, rank - 1) : rank;
}

/** Whether a message that allows itself to be shown at `when` may be shown at `now`: at that moment or a later one. */
export function mayReach(when: Moment, now: Moment): boolean {
  return moments.indexOf(when) <= moments.indexOf(now);
}
