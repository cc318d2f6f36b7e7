import type { StoreStatus } from "../../app/ports.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";
import type { Vault } from "../../crypto/vault.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { Engine } from "./engine.ts";
import type { IndexerClient } from "./indexer-client.ts";
import type { Lookups } from "./lookups.ts";
import type { SteadyClock } from "./open-delivery.ts";
import type { ReaderClient } from "./reader-client.ts";

/** What the parts of the store share on the main thread. */
export type StoreContext = {
  readonly clock: SteadyClock;
  readonly policy: DeliveryPolicy;
  readonly engine: Engine;
  /** The way to the disk. */
  readonly queue: CommitQueue;
  /** Single rows, read on this thread. */
  readonly lookups: Lookups;
  /** Everything else that is read, on a thread of its own. */
  readonly reader: ReaderClient;
  readonly indexer: IndexerClient;
  /** Opens what is read on this thread. */
  readonly vault: Vault;
  /** Since the start of the process. */
  readonly counts: Record<keyof StoreStatus["counts"], number>;
  /** How often this hive was opened, this time included. */
  readonly generation: number;
};
