import type { Clock, StartTimer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { createQueue } from "../base/queue.ts";
import type { RandomBytes } from "../base/uuid.ts";
import type { KeyStatus } from "../contract/keys.ts";
import type { KeyProvider } from "../crypto/key-provider.ts";
import { type KeyRing, openKeyRing } from "../crypto/key-ring.ts";
import type { MasterKeys } from "../crypto/master-keys.ts";
import type { AuditLog } from "./audit.ts";
import type { StoreKeys } from "./ports.ts";

/** The keys of a hive while its server works. Disposing it ends what runs in the background; the next start goes on. */
export type HiveKeys = AsyncDisposable & {
  status(): Promise<KeyStatus>;
  /** A new epoch. Whatever is written from now on is sealed under it. */
  rotate(): Promise<KeyStatus>;
  /** Has a new master key wrap the data keys: that of `key_file`, or a new one in the place of the one in use. */
  rewrap(key_file?: string): Promise<KeyStatus>;
  /** Begins to seal anew, behind the mail, what older epochs have sealed; or goes on with it. */
  reencrypt(): Promise<KeyStatus>;
  /** Makes a new epoch where the newest has sealed almost as much as it safely may. */
  rotateIfDue(): Promise<void>;
};

export type HiveKeysOptions = {
  readonly store: StoreKeys;
  readonly masterKeys: MasterKeys;
  readonly clock: Clock;
  readonly startTimer: StartTimer;
  readonly randomBytes: RandomBytes;
  readonly log: Log;
  readonly audit: AuditLog;
};

/** Messages sealed anew at a time: some milliseconds of the writer. */
const piece = 100;
/** It rests as long as a piece took, so that mail has at least half of the writer; and at least so long. */
const least_rest_ms = 2;

/**
 * Finds the master key, unwraps the hive's keys and unlocks the store with them. A new hive gets its first keys.
 *
 * @throws BusError `key_unavailable`, with the file and the way out.
 */
export async function openHiveKeys(options: HiveKeysOptions): Promise<HiveKeys> {
  const { store, masterKeys, clock, log, audit, randomBytes } = options;
  const [known] = await store.records.load();
  let provider: KeyProvider = await masterKeys.current(known?.provider);
  const { hive_id, records } = store;
  const ring = await openKeyRing({ hive_id, records, provider, now: clock.now, randomBytes });
  await store.use(ring.cipherKeys());
  const reencryption = createReencryption(options);
  if (await store.isReencrypting()) reencryption.start();
  // Two replacements at once would move each other's key files, and a key that the data keys are wrapped by could be lost.
  const inTurn = createQueue();

  async function rotate(): Promise<void> {
    const epoch = await ring.rotate();
    await store.use(ring.cipherKeys());
    log.info({ epoch }, "sealing under a new key");
  }

  async function rewrap(key_file: string | undefined): Promise<void> {
    const next = await masterKeys.next(key_file);
    await ring.rewrap(next.provider);
    await next.settle();
    provider = next.provider;
    log.info({ master_key: provider.id, source: provider.source }, "the data keys are wrapped by another master key");
  }

  async function rotateIfDue(): Promise<void> {
    if (!(await ring.status()).rotation_due) return;
    await rotate();
    await audit.note({ event: "key_rotated", actor: "system", detail: { epoch: (await ring.status()).epoch } });
  }

  async function status(): Promise<KeyStatus> {
    return describe(await ring.status(), { hive_id, provider, reencryption: await reencryption.status() });
  }

  return {
    status,
    rotate: () =>
      inTurn(async () => {
        await rotate();
        return status();
      }),
    rewrap: (key_file) =>
      inTurn(async () => {
        await rewrap(key_file);
        return status();
      }),
    async reencrypt() {
      reencryption.start();
      return status();
    },
    rotateIfDue: () => inTurn(rotateIfDue),
    [Symbol.asyncDispose]: reencryption.stop,
  };
}

function describe(
  { epoch, rotation_due, keys }: Awaited<ReturnType<KeyRing["status"]>>,
  about: Pick<KeyStatus, "hive_id" | "reencryption"> & { readonly provider: KeyProvider },
): KeyStatus {
  const { hive_id, provider, reencryption } = about;
  return {
    hive_id,
    master_key: provider.id,
    master_key_source: provider.source,
    epoch,
    rotation_due,
    keys: keys.map(({ provider: _, ...shown }) => shown),
    reencryption,
  };
}

/** Goes through the history piece by piece; where it is stands in the store. */
function createReencryption({ store, clock, startTimer, log, audit }: HiveKeysOptions) {
  let running: Promise<void> | undefined;
  let isStopping = false;
  let endRest = (): void => undefined;
  let [share, messages] = [1, 0];

  const rest = (ms: number) =>
    new Promise<void>((resolve) => {
      const cancel = startTimer(ms, resolve);
      endRest = () => {
        cancel();
        resolve();
      };
    });

  async function noteDone(): Promise<void> {
    log.info({ messages }, "everything is sealed under the newest key");
    await audit.note({ event: "messages_reencrypted", actor: "system", detail: { messages } });
  }

  async function run(): Promise<void> {
    share = 0;
    while (!isStopping) {
      const start_ms = clock.elapsed();
      const done = await store.reencrypt(piece);
      messages += done.resealed;
      share = done.share;
      if (done.done) return await noteDone();
      await rest(Math.max(least_rest_ms, clock.elapsed() - start_ms));
    }
  }

  return {
    start(): void {
      running ??= run()
        .catch((error: unknown) =>
          log.error({ err: error }, "sealing anew has stopped; hivepost keys reencrypt goes on"),
        )
        .finally(() => {
          running = undefined;
        });
    },
    status: async () => ({ running: running !== undefined, share, messages }),
    async stop(): Promise<void> {
      isStopping = true;
      endRest();
      await running;
    },
  };
}
