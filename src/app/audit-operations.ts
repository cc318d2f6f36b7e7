import { defined } from "../base/defined.ts";
import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { Input } from "../contract/operations.ts";
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
          before_seq: placeOf(office, input),
        }),
      });
      return {
        entries: [...rows],
        ...(next !== undefined && { next_cursor: office.cursors.encode(input, next) }),
      };
    },
  };
}

function placeOf(office: Office, input: Input<"readAudit">): number | undefined {
  if (input.cursor === undefined) return undefined;
  const place = office.cursors.decode(input, input.cursor);
  if (typeof place === "number") return place;
  throw new BusError("invalid_cursor", "this cursor was made for another question; ask it again from the start");
}
