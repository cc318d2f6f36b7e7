import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { connect } from "../../src/client/client.ts";
import { eventually } from "../support/eventually.ts";
import { startHive, token } from "./hive.ts";
import { startWire, type Wire } from "./wire.ts";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Cuts the wire at random moments until it is stopped. */
function flap(wire: Wire, random: () => number): { stop(): Promise<number> } {
  let flapping = true;
  let cuts = 0;
  const done = (async () => {
    while (flapping) {
      await sleep(5 + random() * 60);
      wire.cut();
      cuts += 1;
    }
  })();
  return {
    async stop() {
      flapping = false;
      await done;
      return cuts;
    },
  };
}

describe("over wires that are cut at random moments", () => {
  for (const seed of [1, 2, 3, Date.now() % 1_000_000]) {
    it(`every message is handled once, each sender's in its order (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      await using hive = await startHive();
      await using senderWire = await startWire(hive.port);
      await using workerWire = await startWire(hive.port);
      await using sender = connect(senderWire.url, { token, reconnect_max_ms: 10 });
      await using receiver = connect(workerWire.url, { token, reconnect_max_ms: 10 });
      await sender.registerAgent({ agent_id: "ada" });
      const seen: string[] = [];
      await using _ = await receiver.worker(
        "ada",
        async ({ content }) => {
          await sleep(random() < 0.05 ? random() * 100 : 0);
          seen.push(content);
        },
        { prefetch: 5, lease_ms: 2_000 },
      );
      const senders = ["bob", "cleo"];
      const count = 60;

      const flapping = [flap(senderWire, random), flap(workerWire, random)];
      await Promise.all(
        senders.map(async (from_agent) => {
          let last: unknown;
          for (let n = 0; n < count; n++) {
            last = sender.sendMessage({ from_agent, to_agent: "ada", content: `${from_agent} ${n}` });
            if (random() < 0.3) await last;
          }
          await last;
        }),
      );
      await eventually("all were handled", () => seen.length >= senders.length * count, 20_000);
      const cuts = await Promise.all(flapping.map((it) => it.stop()));

      for (const from_agent of senders) {
        assert.deepEqual(
          seen.filter((it) => it.startsWith(from_agent)),
          Array.from({ length: count }, (_it, n) => `${from_agent} ${n}`),
        );
      }
      assert.ok(Math.min(...cuts) > 0, "the wires were cut");
      const inbox = await eventually("all were acknowledged", async () => {
        const found = await sender.getInbox({ agent_id: "ada" });
        return found.total === 0 && found;
      });
      assert.equal(inbox.dead, 0);
    });
  }

  it("a server that is stopped and started again and again loses and repeats nothing", async () => {
    await using hive = await startHive({ stop_ms: 100 });
    await using client = connect(hive.url, { token, reconnect_max_ms: 20 });
    await client.registerAgent({ agent_id: "ada" });
    const seen: string[] = [];
    await using _ = await client.worker("ada", ({ content }) => void seen.push(content));
    const sent: Promise<unknown>[] = [];

    for (let round = 0; round < 5; round++) {
      for (let n = 0; n < 20; n++) {
        sent.push(client.sendMessage({ from_agent: "bob", to_agent: "ada", content: `${round} ${n}` }));
      }
      await sleep(10);
      await hive.stop();
      await hive.start();
    }
    await Promise.all(sent);

    await eventually("all were handled", () => seen.length >= 100);
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_it, n) => `${Math.floor(n / 20)} ${n % 20}`),
    );
  });
});
