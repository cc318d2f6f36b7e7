import { defined } from "../base/defined.ts";
import { limits } from "../contract/limits.ts";
import { placeOf } from "./cursors.ts";
import type { Mailroom } from "./mailroom.ts";
import { readTime } from "./messages.ts";
import type { Office } from "./office.ts";

export function auditOperations(office: Office): Pick<Mailroom, "readAudit"> {
  return {
    async readAudit(input) {
      const { rows, next } = await office.audit.entries({
        limit: input.limit ?? limits.default_page,
        ...defined({
          event: input.event,
          actor: input.actor,
          since_ms: readTime("since", input.since),
          until_ms: readTime("until", input.until),
          before_seq: placeOf(office.cursors, input),
        }),
      });
      return {
        entries: [...rows],
        ...(next !== undefined && { next_cursor: office.cursors.encode(input, next) }),
      };
    },
  };
}
