import type { Clock } from "../src/base/clock.ts";
import { silentLog } from "../src/base/log.ts";
import { connect } from "../src/client/client.ts";
import type { Bus } from "../src/contract/operations.ts";
import type { DeliveryPolicy } from "../src/core/messaging/policy.ts";
import { openMemoryStore } from "../src/stores/memory/store.ts";
import { busContract } from "./bus.contract.ts";
import { temporaryFolder } from "./support/fixtures.ts";
import { calledBy, openMailroom, operatorCall, restBus, serveMailroom, testToken } from "./support/hives.ts";
import { openUnlockedStore } from "./support/unlocked.ts";

busContract("the bus in process", async (settings) => {
  const hive = await openMailroom(openMemoryStore, settings);
  const bus = calledBy(hive.mailroom, operatorCall);
  return { bus, clock: hive.clock, [Symbol.asyncDispose]: () => hive[Symbol.asyncDispose]() };
});

busContract("the bus in process, on disk", async (settings) => {
  await using opened = new AsyncDisposableStack();
  const folder = opened.use(await temporaryFolder());
  const openStore = (options: { clock: Clock; policy: DeliveryPolicy }) =>
    openUnlockedStore({ ...options, folder: folder.path, log: silentLog, retention_ms: 0 });
  const hive = opened.use(await openMailroom(openStore, settings));
  const owned = opened.move();
  const bus = calledBy(hive.mailroom, operatorCall);
  return { bus, clock: hive.clock, [Symbol.asyncDispose]: () => owned.disposeAsync() };
});

busContract("the bus over HTTP", async (settings) => {
  await using opened = new AsyncDisposableStack();
  const hive = opened.use(await openMailroom(openMemoryStore, settings));
  const { url } = opened.use(await serveMailroom(hive));
  const owned = opened.move();
  return { bus: restBus(url), clock: hive.clock, [Symbol.asyncDispose]: () => owned.disposeAsync() };
});

busContract("the bus over WebSocket", async (settings) => {
  await using opened = new AsyncDisposableStack();
  const hive = opened.use(await openMailroom(openMemoryStore, settings));
  const { url } = opened.use(await serveMailroom(hive));
  // The client's methods take plain text where the contract has ids, so it is a Bus and more.
  const client = opened.use(connect(url, { token: testToken })) as unknown as Bus & AsyncDisposable;
  const owned = opened.move();
  return { bus: client, clock: hive.clock, [Symbol.asyncDispose]: () => owned.disposeAsync() };
});
