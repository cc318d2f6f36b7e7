import { describeDuration, parseTimestamp } from "../../base/time.ts";
import { BusError } from "../../contract/errors.ts";
import type { MessageId } from "../../contract/messages.ts";
import type { Opened } from "./open.ts";

/** Remembers what one reader has opened. */
export type ReplayGuard = {
  /**
   * Says whether the reader sees this message for the first time, or the same bytes again, as after a lost lease.
   *
   * @param now_ms Milliseconds since the Unix epoch.
   * @throws BusError `sealed_replayed` where the id comes back with another signature, or is older than is remembered
   */
  admit(message_id: MessageId, opened: Pick<Opened, "signature" | "sealed_at">, now_ms: number): "first" | "again";
  /** Messages it remembers now. */
  readonly size: number;
};

export type ReplayGuardOptions = {
  /** How long a message is remembered, and how old one may be to be admitted. */
  readonly retention_ms: number;
  /** Messages remembered at most, the latest. About 300 bytes each. Default 100,000. */
  readonly capacity?: number;
};

type Remembered = { readonly signature: string; readonly until_ms: number };

/**
 * A guard against sealed messages that come back: each is new once within the retention time. It forgets when its process
 * ends, and sooner than the retention time when more than its capacity arrive within it.
 */
export function createReplayGuard({ retention_ms, capacity = 100_000 }: ReplayGuardOptions): ReplayGuard {
  // In the order of admission, so that the oldest are the first.
  const remembered = new Map<MessageId, Remembered>();
  return {
    admit(message_id, { signature, sealed_at }, now_ms) {
      forgetOld(remembered, now_ms);
      const before = remembered.get(message_id);
      if (before) {
        if (before.signature === signature) return "again";
        throw replayed(`message ${message_id} was opened before with other content`);
      }
      const sealed_at_ms = requireRemembered(message_id, sealed_at, now_ms - retention_ms);
      // From when it was sealed where that clock is ahead: forgotten sooner, it could come back as new.
      remembered.set(message_id, { signature, until_ms: Math.max(now_ms, sealed_at_ms) + retention_ms });
      if (remembered.size > capacity) forgetFirst(remembered);
      return "first";
    },
    get size() {
      return remembered.size;
    },
  };

  function requireRemembered(message_id: MessageId, sealed_at: string, since_ms: number): number {
    const sealed_at_ms = parseTimestamp(sealed_at);
    if (sealed_at_ms !== undefined && sealed_at_ms >= since_ms) return sealed_at_ms;
    const kept = describeDuration(retention_ms);
    throw replayed(`message ${message_id} was sealed at ${sealed_at}, and only the last ${kept} are remembered`);
  }
}

function forgetOld(remembered: Map<MessageId, Remembered>, now_ms: number): void {
  for (const [id, { until_ms }] of remembered) {
    // Also in its last millisecond, in which a message of that age is still admitted.
    if (until_ms >= now_ms) return;
    remembered.delete(id);
  }
}

function forgetFirst(remembered: Map<MessageId, Remembered>): void {
  for (const id of remembered.keys()) {
    remembered.delete(id);
    return;
  }
}

function replayed(what: string): BusError {
  return new BusError("sealed_replayed", `${what}; do not act on it, and ask its sender to send anew under a new id`);
}
