import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { spawnHivepost, spawnServer } from "../cli/spawned.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { clientOf, tokenOf } from "./operator.ts";

const fakeTime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const withoutFakeTime = existsSync(fakeTime) ? false : "libfaketime is not installed (apt-get install faketime)";

describe("a worker that is paused for longer than its lease", () => {
  it("changes nothing by its late acknowledgement", async () => {
    await using folder = await temporaryFolder();
    await using server = await spawnServer(folder.path, { environment: { HIVEPOST_BACKOFF_BASE_MS: "0" } });
    await using client = clientOf(server.url, folder.path);
    await client.registerAgent({ agent_id: "bob" });
    const { id } = await client.sendMessage({ to_agent: "bob", content: "once" });
    const token = tokenOf(folder.path);
    await using worker = spawnHivepost([server.url, token], { program: "test/faults/paused-worker.ts" });
    await eventually("the worker has it", () => worker.out().includes("claimed 1"), 30_000);

    worker.process.kill("SIGSTOP");
    const { deliveries } = await client.claimMessages({ agent_id: "bob", wait_ms: 30_000 });
    assert.equal(deliveries[0]?.attempt, 2);
    worker.process.kill("SIGCONT");
    worker.process.stdin?.write("go on\n");
    assert.equal(await worker.ended, 0, worker.err());
    assert.match(worker.out(), /\{"acknowledged":false,"reason":"lease_lost"\}/);

    const lease = { message_id: id, lease_id: deliveries[0]?.lease_id ?? "" };
    assert.deepEqual(await client.acknowledgeMessage(lease), { acknowledged: true });
    const { ledger } = await client.getMessage({ message_id: id });
    assert.deepEqual(
      ledger.map((it) => it.event),
      ["accepted", "leased", "lease_expired", "ready", "leased", "acknowledged"],
    );
  });
});

describe("a wall clock that is set", { skip: withoutFakeTime }, () => {
  it("forward and back moves no lease and no place in the queue", async () => {
    await using folder = await temporaryFolder();
    const offset = path.join(folder.path, "offset");
    const setClock = (by: string) => writeFileSync(offset, `${by}\n`);
    setClock("+0");
    const environment = {
      LD_PRELOAD: fakeTime,
      FAKETIME_TIMESTAMP_FILE: offset,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
    await using server = await spawnServer(path.join(folder.path, "hive"), { environment });
    await using client = clientOf(server.url, path.join(folder.path, "hive"));
    await client.registerAgent({ agent_id: "bob" });
    const send = (content: string) => client.sendMessage({ to_agent: "bob", content });

    const first = await send("1");
    const [held] = (await client.claimMessages({ agent_id: "bob", lease_ms: 60_000 })).deliveries;
    setClock("+1d");
    const tomorrow = await send("2");
    assert.ok(Date.parse(tomorrow.timestamp) - Date.parse(first.timestamp) > 80_000_000, "the clock was not set");
    setClock("-1d");
    await send("3");
    setClock("+0");
    await send("4");

    const { deliveries } = await client.claimMessages({ agent_id: "bob", limit: 9 });
    assert.deepEqual(
      deliveries.map((it) => it.message.content),
      ["2", "3", "4"],
    );
    for (const { message, lease_id } of [held, ...deliveries].filter((it) => it !== undefined)) {
      assert.deepEqual(await client.acknowledgeMessage({ message_id: message.id, lease_id }), { acknowledged: true });
    }
    const { messages } = await client.searchMessages({ participant: "bob", since: first.timestamp });
    assert.deepEqual(messages.map((it) => it.content).sort(), ["1", "2", "4"]);
  });
});
