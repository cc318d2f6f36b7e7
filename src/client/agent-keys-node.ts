import { systemClock } from "../base/clock.ts";
import { openKeyStore } from "./key-store-node.ts";
import type { KeyStore } from "./sealed/key-store.ts";
import { findKeysFolder } from "./settings-node.ts";

/**
 * The keys of this machine's agents, and what they have seen of others'.
 *
 * @param folder Else `HIVEPOST_KEYS_DIR`, else `hivepost/agent-keys` in the user's configuration folder.
 */
export function openAgentKeys(folder?: string): KeyStore {
  return openKeyStore(findKeysFolder(folder), systemClock.now);
}
