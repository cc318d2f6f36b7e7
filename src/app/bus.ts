import { type Clock, type StartTimer, startRealTimer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { createUuidV7, type RandomBytes } from "../base/uuid.ts";
import type { Config } from "../config.ts";
import type { Access } from "./access.ts";
import { agentOperations } from "./agents.ts";
import { createAnnouncer } from "./announcer.ts";
import type { AuditLog } from "./audit.ts";
import { auditOperations } from "./audit-operations.ts";
import { auditedMailroom } from "./audited.ts";
import { conversationOperations } from "./conversations.ts";
import { createCursors } from "./cursors.ts";
import { deliveryOperations } from "./deliveries.ts";
import { followEvents } from "./following.ts";
import { guardMailroom } from "./guard.ts";
import { historyOperations } from "./history.ts";
import { keyOperations } from "./key-operations.ts";
import type { HiveKeys } from "./keys.ts";
import type { Mailroom } from "./mailroom.ts";
import { startMaintenance } from "./maintenance.ts";
import { sendOperations } from "./messages.ts";
import { resumeNotices } from "./notices.ts";
import type { Office } from "./office.ts";
import type { Store } from "./ports.ts";
import { statusOperations } from "./status.ts";
import { subscribe } from "./subscriptions.ts";
import { tokenOperations } from "./tokens.ts";

/** What the bus needs from the outside world: `serve.ts` passes the real things, tests pass their own. */
export type MailroomOptions = {
  readonly store: Store;
  readonly access: Access;
  readonly keys: HiveKeys;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly config: Config;
  readonly randomBytes: RandomBytes;
  readonly log: Log;
  readonly version: string;
  /** What wakes the bus when time has passed; the real thing unless a simulation owns the clock. */
  readonly startTimer?: StartTimer;
};

/** The bus in this process. It keeps time until it is disposed; the store stays its owner's. */
export function createMailroom(options: MailroomOptions): Mailroom & AsyncDisposable {
  const { store, access, keys, audit, clock, config, randomBytes, log, version } = options;
  const office: Office = {
    store,
    access,
    keys,
    audit,
    clock,
    startTimer: options.startTimer ?? startRealTimer,
    config,
    log,
    newId: createUuidV7(clock.now, randomBytes),
    announcer: createAnnouncer(),
    cursors: createCursors(clock, config.cursor_ms),
    leaseEnds: new Map(),
    opened_at_ms: clock.elapsed(),
  };
  const maintenance = startMaintenance(office);
  const resumed = resumeNotices(office).catch((error: unknown) => {
    log.error({ error }, "cannot look for notices that a crash may have swallowed");
  });
  const mailroom: Mailroom = {
    ...sendOperations(office),
    ...deliveryOperations(office),
    ...historyOperations(office),
    ...conversationOperations(office),
    ...agentOperations(office),
    ...tokenOperations(office),
    ...keyOperations(office),
    ...auditOperations(office),
    ...statusOperations(office, version),
    subscribe: (input, push, call) => subscribe(office, input, push, call),
    follow: followEvents(office),
  };
  return {
    ...auditedMailroom(guardMailroom(mailroom, store.fleet), { audit, log }),
    async [Symbol.asyncDispose]() {
      await resumed;
      await maintenance[Symbol.asyncDispose]();
    },
  };
}
