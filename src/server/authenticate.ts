import type { IncomingMessage } from "node:http";
import type { AuditLog } from "../app/audit.ts";
import type { Lockout } from "../app/lockout.ts";
import type { Caller } from "../app/mailroom.ts";
import { BusError } from "../contract/errors.ts";

/** Whose token this is; undefined where it is nobody's. */
export type Authenticate = (token: string) => Caller | undefined;

/** Who may ask for what is open to all. */
const anyone: Caller = { actor: "anyone", scopes: ["open"] };

/** What a request shows of itself before it is let in. */
export type Visitor = Pick<IncomingMessage, "headers" | "socket">;

/** Lets callers in by their tokens, on every transport; counts those who try wrong ones. */
export type Doorkeeper = {
  /**
   * The caller whose bearer token this is.
   *
   * @throws BusError `unauthenticated`; `rate_limited` where too many wrong tokens came from that address.
   */
  requireCaller(visitor: Visitor): Caller;
  /** The caller, or `anyone` where no token is sent; a wrong token is an error all the same. */
  callerOrAnyone(visitor: Visitor): Caller;
  /** What to answer whoever showed something that lets nobody in. */
  turnAway(visitor: Visitor, why: string): BusError;
};

export function createDoorkeeper(authenticate: Authenticate, lockout: Lockout): Doorkeeper {
  const turnAway = ({ socket }: Visitor, why: string) =>
    lockout.judge(new BusError("unauthenticated", why), socket.remoteAddress);

  const requireCaller = (visitor: Visitor): Caller => {
    const { authorization } = visitor.headers;
    // No guess, so it counts for none.
    if (authorization === undefined) {
      throw new BusError("unauthenticated", "no token: send the header Authorization: Bearer <token>");
    }
    const token = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (token === undefined) {
      throw turnAway(visitor, "the Authorization header is not of the form: Bearer <token>");
    }
    const caller = authenticate(token);
    if (!caller) throw turnAway(visitor, "this token is not valid here; is it from another hive, or revoked?");
    return caller;
  };

  return {
    requireCaller,
    callerOrAnyone: (visitor) => (visitor.headers.authorization === undefined ? anyone : requireCaller(visitor)),
    turnAway,
  };
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
