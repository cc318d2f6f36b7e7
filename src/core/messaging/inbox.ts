import { describeDuration } from "../../base/time.ts";
import { type AgentId, type Inbox, type Priority, priorities } from "../../contract/messages.ts";

export type OpenState = "ready" | "scheduled" | "leased" | "held";

/** What an inbox holds. Times in milliseconds: `…_in_ms` from now. */
export type InboxCounts = {
  readonly depth: Readonly<Record<Priority, Readonly<Record<OpenState, number>>>>;
  readonly dead: number;
  readonly oldest_age_ms: number | undefined;
  readonly next_available_in_ms: number | undefined;
  readonly next_lease_expires_in_ms: number | undefined;
  readonly open_leases: number;
};

/** Undelivered messages in all. */
export function totalDepth(counts: InboxCounts): number {
  return sumOf(counts, "ready") + sumOf(counts, "scheduled") + sumOf(counts, "leased") + sumOf(counts, "held");
}

export function sumOf(counts: InboxCounts, state: OpenState): number {
  return priorities.reduce((sum, priority) => sum + counts.depth[priority][state], 0);
}

/** Why nothing, or not everything, of an inbox is delivered now; a sentence per reason. */
export function explainInbox(
  counts: InboxCounts,
  about: {
    agent_id: AgentId;
    subscriptions: number;
    last_seen_ago_ms: number | undefined;
    open_leases_limit: number;
    inbox_depth: number;
  },
): Inbox["explanation"] {
  const reasons: string[] = [];
  const ready = sumOf(counts, "ready");
  if (totalDepth(counts) === 0) reasons.push("Nothing waits here.");
  if (ready > 0) {
    reasons.push(`${ready} ready to be claimed: ${whyNotClaimed(about, counts)}.`);
  }
  const leased = sumOf(counts, "leased");
  if (leased > 0) {
    const until = describeDuration(counts.next_lease_expires_in_ms ?? 0);
    reasons.push(`${leased} leased and not yet acknowledged; the next lease ends in ${until}.`);
  }
  const scheduled = sumOf(counts, "scheduled");
  if (scheduled > 0) {
    reasons.push(
      `${scheduled} scheduled for later (deliver_at or back-off); the next in ${describeDuration(counts.next_available_in_ms ?? 0)}.`,
    );
  }
  const held = sumOf(counts, "held");
  if (held > 0) reasons.push(`${held} held by the loop breaker; redrive them to let them through.`);
  if (counts.dead > 0) reasons.push(`${counts.dead} dead; list the dead letters to see why, redrive to try again.`);
  if (totalDepth(counts) >= about.inbox_depth) reasons.push(`The inbox is full: new messages are refused.`);
  return reasons;
}

function whyNotClaimed(about: Parameters<typeof explainInbox>[1], counts: InboxCounts): string {
  if (counts.open_leases >= about.open_leases_limit) {
    return `${about.agent_id} holds ${counts.open_leases} leases, as many as it may; it must acknowledge first`;
  }
  if (about.subscriptions > 0) return "a subscriber is connected and has used up its credit, or is about to get them";
  if (about.last_seen_ago_ms === undefined) return `${about.agent_id} has not been heard of since the server started`;
  return `${about.agent_id} is not connected and was last heard of ${describeDuration(about.last_seen_ago_ms)} ago`;
}
