import { createMailroom } from "../src/app/bus.ts";
import type { Call, Mailroom } from "../src/app/mailroom.ts";
import { silentLog } from "../src/base/log.ts";
import { deliveryPolicy } from "../src/config.ts";
import type { Bus } from "../src/contract/operations.ts";
import { operationNames } from "../src/contract/routes.ts";
import { openMemoryStore } from "../src/stores/memory/store.ts";
import { busContract } from "./bus.contract.ts";
import { clockAt, testConfig } from "./support/fixtures.ts";

const operator: Call = { caller: { actor: "operator", scopes: ["admin"] } };

/** The bus as one caller has it: what the network does for a client. */
function calledBy(mailroom: Mailroom, call: Call): Bus {
  const methods = operationNames.map((name) => [
    name,
    (input: never) => (mailroom[name] as (input: never, call: Call) => Promise<unknown>)(input, call),
  ]);
  return Object.fromEntries(methods) as Bus;
}

busContract("the bus in process, in memory", async (settings) => {
  const clock = clockAt();
  const config = testConfig(settings);
  const store = openMemoryStore({ clock, policy: deliveryPolicy(config) });
  const randomBytes = (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes);
  const mailroom = createMailroom({ store, clock, config, randomBytes, log: silentLog, version: "test" });
  return {
    bus: calledBy(mailroom, operator),
    clock,
    async [Symbol.asyncDispose]() {
      await mailroom[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
});
