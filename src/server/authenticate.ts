import type { IncomingHttpHeaders } from "node:http";
import type { AuditLog } from "../app/audit.ts";
import type { Caller } from "../app/mailroom.ts";
import { BusError } from "../contract/errors.ts";

/** Whose token this is; undefined where it is nobody's. */
export type Authenticate = (token: string) => Caller | undefined;

/** Who may ask for what is open to all. */
export const anyone: Caller = { actor: "anyone", scopes: ["open"] };

/** The caller whose bearer token this is. @throws BusError `unauthenticated` */
export function requireCaller(authenticate: Authenticate, headers: IncomingHttpHeaders): Caller {
  const { authorization } = headers;
  if (authorization === undefined) {
    throw new BusError("unauthenticated", "no token: send the header Authorization: Bearer <token>");
  }
  const token = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (token === undefined) {
    throw new BusError("unauthenticated", "the Authorization header is not of the form: Bearer <token>");
  }
  const caller = authenticate(token);
  if (!caller)
    throw new BusError("unauthenticated", "this token is not valid here; is it from another hive, or revoked?");
  return caller;
}

/** The caller, or `anyone` where no token is sent; a wrong token is an error all the same. */
export function callerOrAnyone(authenticate: Authenticate, headers: IncomingHttpHeaders): Caller {
  return headers.authorization === undefined ? anyone : requireCaller(authenticate, headers);
}

/** @throws BusError `forbidden` for an agent's own token: what lies behind this tells of everybody. */
export function requireObserver(caller: Caller): void {
  if (caller.scopes.some((it) => it === "observe" || it === "operate" || it === "admin")) return;
  throw new BusError("forbidden", `${caller.actor} may not read this; it takes a token with the scope observe or more`);
}

/** Finds out who calls from an address. */
export type Admitting = (address: string | undefined, authenticate: () => Caller) => Caller;

/** Tells the audit log of each failure, by the address it came from; what was shown is told to nobody. */
export function notingFailures(audit: Pick<AuditLog, "count">): Admitting {
  return (address, authenticate) => {
    try {
      return authenticate();
    } catch (error) {
      if (error instanceof BusError && error.code === "unauthenticated") {
        // Nobody waits: a flood of guesses shall not be slowed to the pace of the disk, nor hold anybody up.
        void audit.count({ event: "authentication_failed", actor: "anyone", address });
      }
      throw error;
    }
  };
}
