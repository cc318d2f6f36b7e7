import { silentLog } from "../../src/base/log.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { openUnlockedStore } from "../support/unlocked.ts";
import { storeContract } from "./store.contract.ts";

storeContract("SQLite store", async ({ clock, policy }) => {
  const folder = await temporaryFolder();
  const store = await openUnlockedStore({ folder: folder.path, clock, policy, log: silentLog, retention_ms: 0 });
  return {
    ...store,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
});
