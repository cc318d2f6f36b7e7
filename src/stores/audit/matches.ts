import type { AuditQuery } from "../../app/ports.ts";
import type { AuditEntry } from "../../contract/audit.ts";

/** Whether an entry is one of those asked for. */
export function matches(entry: AuditEntry, { event, actor, since_ms, until_ms, before_seq }: AuditQuery): boolean {
  const at_ms = Date.parse(entry.at);
  return (
    (event === undefined || entry.event === event) &&
    (actor === undefined || entry.actor === actor) &&
    (since_ms === undefined || at_ms >= since_ms) &&
    (until_ms === undefined || at_ms < until_ms) &&
    (before_seq === undefined || entry.seq < before_seq)
  );
}
