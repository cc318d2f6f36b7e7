import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { startHive } from "../support/hive-process.ts";
import { ask, tell } from "./rest.ts";
import { startTraffic } from "./traffic.ts";

describe("a server that is told to stop", () => {
  it("ends within 10 s under load, gives leases back, loses nothing, and delivers after a restart", async () => {
    await using folder = await temporaryFolder();
    const first = await startHive(folder.path);
    await using stack = new AsyncDisposableStack();
    stack.use(first);
    using traffic = startTraffic();
    await traffic.connect(first);
    // One message is in somebody's hands when the server stops.
    await tell(first, "registerAgent", { agent_id: "slow" as never });
    const held = await tell(first, "sendMessage", { to_agent: "slow" as never, content: "take your time" });
    await tell(first, "claimMessages", { agent_id: "slow" as never, lease_ms: 3_600_000 });
    await eventually("mail flows", () => traffic.judge.counts.acknowledged > 500, 60_000);

    const gone = traffic.load.expectEnd();
    const told_ms = performance.now();
    assert.equal(await first.end("SIGTERM"), 0);
    assert.ok(performance.now() - told_ms < 10_000, "it took too long");
    await gone;

    await using second = await startHive(folder.path);
    const inbox = await tell(second, "getInbox", { agent_id: "slow" as never });
    assert.deepEqual([inbox.depth.normal.ready, inbox.depth.normal.leased], [1, 0]);
    const { deliveries } = await tell(second, "claimMessages", { agent_id: "slow" as never });
    assert.equal(deliveries[0]?.message.id, held.id);
    await traffic.connect(second);
    await traffic.settled();
    assert.equal((await ask(second, "health", {})).status, 200);
  });
});
