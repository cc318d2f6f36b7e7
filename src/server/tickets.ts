import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Caller } from "../app/mailroom.ts";
import type { Clock } from "../base/clock.ts";
import { toTimestamp } from "../base/time.ts";

const ticket_ms = 30_000;
/** Tickets that wait to be used; beyond this the oldest are void. */
const most_waiting = 10_000;
/**
 * A ticket is 43 characters of base64url, 256 bits. It is looked up by the first of them, which name it, and the whole is compared in
 * a time that does not tell how much of a guess was right; the rest is 192 bits that only its owner has.
 */
const name_length = 11;

export type Ticket = { readonly ticket: string; readonly expires_at: string };

export type TicketOffice = {
  issue(caller: Caller): Ticket;
  /** The caller the ticket was issued to, once, and within 30 s. */
  redeem(ticket: string): Caller | undefined;
};

type Waiting = { readonly hash: Uint8Array; readonly caller: Caller; readonly until_ms: number };

/** Short-lived, single-use stand-ins for a token, for a browser that cannot set headers on a WebSocket. */
export function createTicketOffice(clock: Clock): TicketOffice {
  /** In the order of issue, which is the order of expiry. */
  const waiting = new Map<string, Waiting>();

  const dropOld = () => {
    for (const [ticket, { until_ms }] of waiting) {
      if (until_ms > clock.elapsed() && waiting.size < most_waiting) return;
      waiting.delete(ticket);
    }
  };

  return {
    issue(caller) {
      dropOld();
      const ticket = randomBytes(32).toString("base64url");
      waiting.set(nameOf(ticket), { hash: hashOf(ticket), caller, until_ms: clock.elapsed() + ticket_ms });
      return { ticket, expires_at: toTimestamp(clock.now() + ticket_ms) };
    },
    redeem(ticket) {
      const found = waiting.get(nameOf(ticket));
      if (!found || !timingSafeEqual(found.hash, hashOf(ticket))) return undefined;
      waiting.delete(nameOf(ticket));
      const isGood = found.until_ms > clock.elapsed() && !found.caller.voided?.aborted;
      return isGood ? found.caller : undefined;
    },
  };
}

function nameOf(ticket: string): string {
  return ticket.slice(0, name_length);
}

function hashOf(ticket: string): Uint8Array {
  return createHash("sha256").update(ticket).digest();
}
