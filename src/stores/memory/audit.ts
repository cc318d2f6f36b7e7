import type { AuditStore } from "../../app/ports.ts";
import type { AuditEntry } from "../../contract/audit.ts";
import { beginning, sealEntry } from "../audit/chain.ts";
import { matches } from "../audit/matches.ts";

/** What is in this process's memory needs no secret to be kept whole. */
const key = new Uint8Array(32);

/** The reference: an array. */
export function openMemoryAudit(): AuditStore {
  const log: AuditEntry[] = [];
  return {
    async append(notes) {
      for (const note of notes) log.push(sealEntry(key, note, log.at(-1) ?? beginning));
    },
    async entries(query) {
      const found = log.filter((it) => matches(it, query)).reverse();
      const rows = found.slice(0, query.limit);
      const last = rows.at(-1);
      return { rows, ...(found.length > rows.length && last && { next: last.seq }) };
    },
  };
}
