import { createSecretKey, type KeyObject } from "node:crypto";
import { invariant } from "../base/invariant.ts";
import { createQueue } from "../base/queue.ts";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { keyBytes } from "./aes-gcm.ts";
import type { KeyProvider } from "./key-provider.ts";

/*
 *   master key ──wraps──▶ content key of epoch 1, 2, … n   (n seals, all open)
 *   (provider)            index key                        (one)
 *
 * Only wrapped keys are ever stored. `rotate` adds epoch n + 1; `rewrap` has another master key wrap the same data keys.
 */

/** What a data key is for: sealing texts, or the terms of the search index. */
export type KeyPurpose = "content" | "index";

/** A data key as it is stored: no secret without the provider. Made of JSON values. */
export type WrappedKey = {
  /** Counts up from 1 for `content`; 1 for the others. */
  readonly epoch: number;
  /** Names the key in additional data, lists and logs: 16 hex digits of chance. */
  readonly key_id: string;
  readonly purpose: KeyPurpose;
  /** Base64 of what the provider made of the key. */
  readonly wrapped: string;
  /** Id of the provider that wrapped it. */
  readonly provider: string;
  /** ISO 8601, UTC. */
  readonly created_at: string;
};

/** A key and how many fields it has sealed, as whoever seals writes it down now and then. */
export type CountedKey = WrappedKey & { readonly seals: number };

/** Where wrapped keys are stored. Each promise resolves when its change is on disk. */
export type KeyRecords = {
  load(): Promise<readonly CountedKey[]>;
  /** Adds all of them, or none where a purpose has a key of that epoch already. @returns Whether they were added. */
  add(records: readonly WrappedKey[]): Promise<boolean>;
  /** Puts each in the place of the record with its `key_id`: all of them, or none. */
  replaceAll(records: readonly WrappedKey[]): Promise<void>;
};

/** The key of one epoch. */
export type ContentKey = { readonly epoch: number; readonly key_id: string; readonly key: KeyObject };

/**
 * The keys that a thread needs for sealing, opening and searching: values that `postMessage` and `workerData` can carry.
 * The key bytes do not show in logs or JSON.
 */
export type CipherKeys = {
  readonly hive_id: string;
  /** From the oldest epoch to the newest. */
  readonly content: readonly ContentKey[];
  readonly index: KeyObject;
};

export type KeyRingStatus = {
  /** Id of the provider that guards the keys now. */
  readonly provider: string;
  /** From the oldest to the newest of each purpose. */
  readonly keys: readonly Omit<CountedKey, "wrapped">[];
  /** The newest epoch. */
  readonly epoch: number;
  /** Whether so many fields have been sealed under the newest epoch that it is time for another. */
  readonly rotation_due: boolean;
};

export type KeyRing = {
  /** As of now; after `rotate`, ask again. */
  cipherKeys(): CipherKeys;
  status(): Promise<KeyRingStatus>;
  /** Makes a new epoch, under which everything is sealed from now on. @returns Its number. */
  rotate(): Promise<number>;
  /**
   * Has another provider guard all the keys. What is sealed stays as it is.
   *
   * @throws BusError `key_unavailable` where the provider does not give back what it has wrapped; then nothing has changed.
   */
  rewrap(provider: KeyProvider): Promise<void>;
};

export type KeyRingOptions = {
  /** Letters, digits, `.`, `_` and `-`. */
  readonly hive_id: string;
  readonly records: KeyRecords;
  readonly provider: KeyProvider;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly randomBytes: RandomBytes;
};

/**
 * Fields that an epoch may seal. Random nonces of 96 bits are safe for 2^32 (NIST SP 800-38D, 8.3: a repetition is less likely than
 * 2^-32); half of that leaves room for seals that a crash has kept from being counted.
 */
export const mostSealsPerEpoch = 2 ** 31;
/** Where a rotation becomes due: a quarter before the end, days ahead on the busiest hive. */
export const sealsUntilRotation = 0.75 * mostSealsPerEpoch;

const keyIdBytes = 8;
const hiveIdShape = /^[A-Za-z0-9._-]{1,128}$/;
/** Everything a new hive needs. */
const firstKeys = (["content", "index"] as const).map((purpose) => ({ purpose, epoch: 1 }));

type DataKey = { readonly record: WrappedKey; readonly key: KeyObject };

/**
 * Unwraps a hive's data keys; a hive that has none gets its first.
 *
 * @throws BusError `key_unavailable` where the provider is not the one that wrapped them, or where one is damaged or missing.
 */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { hive_id, records } = options;
  invariant(hiveIdShape.test(hive_id), "a hive id is letters, digits, dots, dashes and underscores");
  let { provider } = options;
  let ring = await loadKeys(options);
  const inTurn = createQueue();

  const rotate = async () => {
    const epoch = ring.newest.epoch + 1;
    await records.add([await makeKey({ purpose: "content", epoch }, { ...options, provider })]);
    // Where another process has just made this epoch, nothing was added, and its key is the one to use.
    ring = await loadKeys({ ...options, provider });
    return ring.newest.epoch;
  };
  const rewrap = async (next: KeyProvider) => {
    await records.replaceAll(await Promise.all(ring.keys.map((it) => rewrapKey(it, next, hive_id))));
    provider = next;
    ring = await loadKeys({ ...options, provider });
  };
  return {
    cipherKeys: () => ({ hive_id, content: ring.content, index: ring.index }),
    async status() {
      const keys = await records.load();
      const { epoch, key_id } = ring.newest;
      return {
        provider: provider.id,
        keys: keys.map(({ wrapped: _, ...shown }) => shown),
        epoch,
        rotation_due: keys.some((it) => it.key_id === key_id && it.seals >= sealsUntilRotation),
      };
    },
    rotate: () => inTurn(rotate),
    rewrap: (next) => inTurn(() => rewrap(next)),
  };
}

type LoadedKeys = {
  readonly keys: readonly DataKey[];
  readonly content: readonly ContentKey[];
  readonly newest: ContentKey;
  readonly index: KeyObject;
};

async function loadKeys(options: KeyRingOptions): Promise<LoadedKeys> {
  const { records, provider, hive_id } = options;
  let stored = await records.load();
  if (stored.length === 0) {
    await records.add(await Promise.all(firstKeys.map((it) => makeKey(it, options))));
    stored = await records.load();
  }
  const sorted = stored.toSorted((a, b) => a.epoch - b.epoch);
  const keys = await Promise.all(sorted.map((record) => unwrapKey(record, provider, hive_id)));
  const content = keysFor("content", keys).map(({ record: { epoch, key_id }, key }) => ({ epoch, key_id, key }));
  return {
    keys,
    content,
    newest: only("content", content.at(-1)),
    index: only("index", keysFor("index", keys)[0]).key,
  };
}

function keysFor(purpose: KeyPurpose, keys: readonly DataKey[]): DataKey[] {
  return keys.filter((it) => it.record.purpose === purpose);
}

function only<T>(purpose: KeyPurpose, found: T | undefined): T {
  if (found !== undefined) return found;
  throw new BusError("key_unavailable", `the hive's ${purpose} key is missing from its records; restore a backup`);
}

async function makeKey(
  wanted: Pick<WrappedKey, "purpose" | "epoch">,
  { hive_id, provider, now, randomBytes }: KeyRingOptions,
): Promise<WrappedKey> {
  const bytes = new Uint8Array(keyIdBytes);
  randomBytes(bytes);
  const key_id = Buffer.from(bytes).toString("hex");
  const secret = new Uint8Array(keyBytes);
  randomBytes(secret);
  const created_at = new Date(now()).toISOString();
  return wrapKey({ ...wanted, key_id, created_at }, secretKey(secret), provider, hive_id);
}

async function wrapKey(
  { epoch, key_id, purpose, created_at }: Omit<WrappedKey, "wrapped" | "provider">,
  key: KeyObject,
  provider: KeyProvider,
  hive_id: string,
): Promise<WrappedKey> {
  const bytes = key.export();
  const wrapped = await provider.wrap(bytes, contextOf({ epoch, key_id, purpose }, hive_id));
  bytes.fill(0);
  return {
    epoch,
    key_id,
    purpose,
    wrapped: Buffer.from(wrapped).toString("base64"),
    provider: provider.id,
    created_at,
  };
}

/** Tries whether the new provider gives back what it was given, before anything relies on it. */
async function rewrapKey({ record, key }: DataKey, next: KeyProvider, hive_id: string): Promise<WrappedKey> {
  const rewrapped = await wrapKey(record, key, next, hive_id);
  if ((await unwrapKey(rewrapped, next, hive_id)).key.equals(key)) return rewrapped;
  throw new BusError(
    "key_unavailable",
    `${next.source} does not give back the key it has wrapped; nothing was changed`,
  );
}

async function unwrapKey(record: WrappedKey, provider: KeyProvider, hive_id: string): Promise<DataKey> {
  if (record.provider !== provider.id) throw otherProvider(record, provider);
  const bytes = await provider.unwrap(Buffer.from(record.wrapped, "base64"), contextOf(record, hive_id));
  if (bytes.length !== keyBytes) {
    throw new BusError("key_unavailable", `data key ${record.key_id} has ${bytes.length} bytes, not ${keyBytes}`);
  }
  return { record, key: secretKey(bytes) };
}

/** What a wrapped key is bound to: in another hive's records, or as another epoch or purpose, it does not unwrap. */
function contextOf({ purpose, epoch, key_id }: Pick<WrappedKey, "purpose" | "epoch" | "key_id">, hive_id: string) {
  return `hivepost data key|1|${hive_id}|${purpose}|${epoch}|${key_id}`;
}

/** Takes the bytes over, and leaves none behind. */
function secretKey(bytes: Uint8Array): KeyObject {
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

function otherProvider(record: WrappedKey, { id, source }: KeyProvider): BusError {
  return new BusError(
    "key_unavailable",
    `the hive's data keys are wrapped by ${record.provider}, but ${source} is ${id}; bring back the key they were wrapped by ` +
      "(HIVEPOST_MASTER_KEY_FILE names another file)",
  );
}
