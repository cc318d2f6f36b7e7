import type { AuditLog } from "../../src/app/audit.ts";
import { type HiveKeys, openHiveKeys } from "../../src/app/keys.ts";
import type { Store } from "../../src/app/ports.ts";
import { type Clock, type StartTimer, startRealTimer } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { MasterKeys } from "../../src/crypto/master-keys.ts";
import { chance, providerOf } from "../crypto/keys.ts";

type Options = { readonly clock: Clock; readonly audit: AuditLog; readonly startTimer?: StartTimer };

/** The keys of a store, under a master key that all tests know. */
export function openTestKeys(store: Store, { clock, audit, startTimer = startRealTimer }: Options): Promise<HiveKeys> {
  const log = silentLog;
  return openHiveKeys({
    store: store.keys,
    masterKeys: knownKeys(),
    clock,
    startTimer,
    randomBytes: chance,
    log,
    audit,
  });
}

function knownKeys(): MasterKeys {
  let byte = 1;
  return {
    current: async () => providerOf(byte),
    async next() {
      byte += 1;
      return { provider: providerOf(byte), settle: async () => undefined };
    },
  };
}
