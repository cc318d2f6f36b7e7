import { type Clock, type StartTimer, startRealTimer } from "../base/clock.ts";
import { defined } from "../base/defined.ts";
import type { Log } from "../base/log.ts";
import { toTimestamp } from "../base/time.ts";
import type { AuditDetail, AuditEntry, AuditEventName } from "../contract/audit.ts";
import type { AuditNote, AuditQuery, AuditStore, Page } from "./ports.ts";

/** Something to be remembered. Never holds tokens, keys or message content. */
export type Audited = {
  readonly event: AuditEventName;
  /** Who did it; `system` for the server itself. */
  readonly actor: string;
  readonly key_id?: string | undefined;
  readonly address?: string | undefined;
  readonly detail?: AuditDetail;
};

/** What was done here, by whom, for those who ask later. */
export type AuditLog = AsyncDisposable & {
  /**
   * On disk when it resolves; so note before you act, or let nobody know of the act before.
   *
   * @throws BusError `storage_full`, `unavailable`: it was not noted, and should not be done.
   */
  note(audited: Audited): Promise<void>;
  /**
   * For what may happen often: the first of a minute is written as it is, what is like it follows as one entry with their
   * `count` when the minute is over, numbers in `detail` summed up. Never fails: what cannot be written waits.
   *
   * @returns Resolves when the first is on disk, or it is clear that it has to wait; at once for those after it.
   */
  count(audited: Audited): Promise<void>;
  /** For what is noted only once it is done. @throws BusError `storage_full`, `unavailable` while nothing can be written. */
  requireWritable(): Promise<void>;
  entries(query: AuditQuery): Promise<Page<AuditEntry>>;
};

export type AuditLogOptions = {
  readonly store: AuditStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly startTimer?: StartTimer;
};

/** How long things that are alike are counted before they are written. */
const window_ms = 60_000;
/** Kinds of things counted at once; what comes beyond is counted as done by `others`. */
const most_kinds = 256;
/** Characters of a text in an entry; ids are shorter. */
const most_text = 256;

/** Things that are alike, since the first was written. */
type Tally = { readonly audited: Audited; readonly from_ms: number; count: number; detail: AuditDetail };

/** The audit log, over the file or array that keeps it. Disposing it writes what is still counted. */
export function openAuditLog({ store, clock, log, startTimer = startRealTimer }: AuditLogOptions): AuditLog {
  let tallies = new Map<string, Tally>();
  let cancelTimer: (() => void) | undefined;
  let isFailing = false;

  const append = async (notes: readonly AuditNote[]) => {
    try {
      await store.append(notes);
      isFailing = false;
    } catch (error) {
      if (!isFailing) log.error({ err: error }, "cannot write the audit log; what must be in it is refused meanwhile");
      isFailing = true;
      throw error;
    }
  };
  const flush = async () => {
    cancelTimer?.();
    cancelTimer = undefined;
    const due = tallies;
    tallies = new Map();
    const counted = [...due.values()].filter((it) => it.count > 0);
    try {
      if (counted.length > 0) await append(counted.map((it) => toNote(summaryOf(it), clock.now())));
    } catch (error) {
      for (const it of counted) add(it);
      throw error;
    }
  };
  const startCounting = () => {
    cancelTimer ??= startTimer(window_ms, () => {
      cancelTimer = undefined;
      // Logged already, and tried again a minute later.
      flush().catch(() => undefined);
    });
  };
  /** Adds to the tally of its kind; true where it is the first of its kind. */
  const add = ({ audited, count, detail, from_ms }: Tally): Tally | undefined => {
    startCounting();
    const { kind, shown } = kindOf(audited, tallies);
    const tally = tallies.get(kind);
    if (!tally) {
      const first = { audited: shown, from_ms, count, detail };
      tallies.set(kind, first);
      return first;
    }
    tally.count += count;
    tally.detail = summed(tally.detail, detail);
    return undefined;
  };

  return {
    note: (audited) => append([toNote(audited, clock.now())]),
    async count(audited) {
      const now_ms = clock.now();
      const { detail = {} } = audited;
      const isFirst = !tallies.has(kindOf(audited, tallies).kind);
      const tally = add({ audited, from_ms: now_ms, count: isFirst ? 0 : 1, detail: isFirst ? {} : detail });
      if (!tally) return;
      await append([toNote({ ...tally.audited, detail }, now_ms)]).catch(() => {
        tally.count += 1;
        tally.detail = summed(tally.detail, detail);
      });
    },
    async requireWritable() {
      if (isFailing) await flush();
    },
    entries: store.entries,
    async [Symbol.asyncDispose]() {
      await flush().catch((error: unknown) => {
        log.error({ err: error }, "what the audit log had still to tell is lost");
      });
      cancelTimer?.();
    },
  };
}

/** What makes two things alike: all but the numbers. */
function kindOf(audited: Audited, tallies: ReadonlyMap<string, Tally>): { kind: string; shown: Audited } {
  const { event, actor, key_id, address, detail = {} } = audited;
  const facts = Object.entries(detail).filter(([, value]) => typeof value !== "number");
  const kind = JSON.stringify([event, actor, key_id, address, facts]);
  if (tallies.has(kind) || tallies.size < most_kinds) return { kind, shown: audited };
  return { kind: event, shown: { event, actor: "others" } };
}

function summed(a: AuditDetail, b: AuditDetail): AuditDetail {
  const sums = { ...a };
  for (const [name, value] of Object.entries(b)) {
    const before = sums[name];
    sums[name] = typeof value === "number" && typeof before === "number" ? before + value : value;
  }
  return sums;
}

function summaryOf({ audited, from_ms, count, detail }: Tally): Audited {
  return { ...audited, detail: { ...detail, count, from: toTimestamp(from_ms) } };
}

function toNote({ event, actor, key_id, address, detail = {} }: Audited, now_ms: number): AuditNote {
  const facts = Object.entries(detail).map(([name, value]) => [name, typeof value === "string" ? cut(value) : value]);
  return {
    at: toTimestamp(now_ms),
    event,
    actor: cut(actor),
    ...defined({ key_id: key_id && cut(key_id), address: address && cut(address) }),
    // Built from the detail's own entries.
    detail: Object.fromEntries(facts) as AuditDetail,
  };
}

function cut(text: string): string {
  return text.length <= most_text ? text : `${text.slice(0, most_text)}…`;
}
