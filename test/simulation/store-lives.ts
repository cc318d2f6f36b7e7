import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/fixtures.ts";
import { openUnlockedStore } from "../support/unlocked.ts";
import type { StoreLife, StoreLifeOptions } from "./run.ts";

/** Memory outlives the server that uses it here, as a store of its own would: leases last, subscriptions do not. */
export function memoryLife(): StoreLife {
  return {
    losesLeases: false,
    open: async (options) => openMemoryStore(options),
    reopen: async (killed) => killed,
    [Symbol.asyncDispose]: async () => {},
  };
}

/**
 * A killed server leaves its files as they are at that moment: the next one opens a copy of them, while the old store
 * knows nothing of its death and is closed in its old place.
 */
export function sqliteLife(): StoreLife {
  let options: StoreLifeOptions | undefined;
  let root: TemporaryFolder | undefined;
  let lives = 0;
  let store: AsyncDisposable | undefined;
  const folder = () => path.join(root?.path ?? "", `life-${lives}`);
  const open = async () => {
    if (!options) throw new Error("reopened before it was opened");
    const opened = await openUnlockedStore({ folder: folder(), ...options, log: silentLog, retention_ms: 0 });
    store = opened;
    return opened;
  };
  return {
    losesLeases: true,
    async open(given) {
      options = given;
      root = await temporaryFolder();
      return open();
    },
    async reopen(killed) {
      const before = folder();
      lives += 1;
      await copyFolder(before, folder());
      const next = await open();
      await killed[Symbol.asyncDispose]();
      return next;
    },
    async [Symbol.asyncDispose]() {
      await store?.[Symbol.asyncDispose]();
      await root?.[Symbol.asyncDispose]();
    },
  };
}

/** By another process: closing a file of an open database in this one would drop the locks that SQLite holds on it. */
async function copyFolder(from: string, to: string): Promise<void> {
  const copy = spawn("cp", ["-a", from, to], { stdio: "inherit" });
  const [code] = await once(copy, "exit");
  if (code !== 0) throw new Error(`cp -a ${from} ${to} failed with ${code}`);
}
