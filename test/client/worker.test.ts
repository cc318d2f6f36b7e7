import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Client, connect } from "../../src/client/client.ts";
import { LeaseLost } from "../../src/client/lease.ts";
import { type HandlerContext, Reject } from "../../src/client/worker.ts";
import type { Message } from "../../src/contract/messages.ts";
import { eventually } from "../support/eventually.ts";
import { failsWith } from "./fails-with.ts";
import { startHive, token } from "./hive.ts";
import { startWire } from "./wire.ts";

/** ada is there, and has `count` messages: "0", "1", … */
async function mailForAda(client: Client, count: number): Promise<Message[]> {
  await client.registerAgent({ agent_id: "ada" });
  const sent: Message[] = [];
  for (let n = 0; n < count; n++) {
    sent.push(await client.sendMessage({ from_agent: "bob", to_agent: "ada", content: String(n) }));
  }
  return sent;
}

const isAcknowledged = (client: Client, { id }: Message) =>
  eventually(`message ${id} is acknowledged`, async () => {
    const message = await client.getMessage({ message_id: id });
    return message.acknowledged && message;
  });

describe("a worker", () => {
  it("handles messages in their order and acknowledges them", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const sent = await mailForAda(client, 5);
    const seen: string[] = [];

    await using _ = await client.worker("ada", async ({ content }, { attempt }) => {
      assert.equal(attempt, 1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      seen.push(content);
    });

    for (const message of sent) await isAcknowledged(client, message);
    assert.deepEqual(seen, ["0", "1", "2", "3", "4"]);
  });

  it("runs as many handlers at a time as it is told, and no more", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const sent = await mailForAda(client, 12);
    let running = 0;
    let most = 0;

    await using _ = await client.worker(
      "ada",
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 10));
        running -= 1;
      },
      { concurrency: 4, prefetch: 3 },
    );

    for (const message of sent) await isAcknowledged(client, message);
    assert.equal(most, 4);
  });

  it("renews the lease while the handler runs", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const [message] = await mailForAda(client, 1);
    assert.ok(message);

    await using _ = await client.worker("ada", () => new Promise((resolve) => setTimeout(resolve, 1_000)), {
      lease_ms: 300,
    });

    const { deliveries, ledger } = await isAcknowledged(client, message);
    assert.equal(deliveries[0]?.attempt, 1);
    assert.ok(ledger.some((it) => it.event === "lease_extended"));
  });

  it("gives a message back with the words of what its handler threw", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const [message] = await mailForAda(client, 1);
    assert.ok(message);
    const heard: unknown[] = [];

    await using _ = await client.worker(
      "ada",
      (_message, { attempt }) => {
        if (attempt === 1) throw new Error("the disk is on fire");
      },
      { onError: (error, id) => heard.push([(error as Error).message, id]) },
    );

    const { ledger } = await isAcknowledged(client, message);
    assert.ok(ledger.some((it) => it.event === "rejected" && it.reason?.includes("the disk is on fire")));
    assert.deepEqual(heard, [["the disk is on fire", message.id]]);
  });

  it("gives a message back for as long as its handler asks", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    await mailForAda(client, 1);

    await using _ = await client.worker("ada", () => {
      throw new Reject("not before tomorrow", { delay_ms: 86_400_000 });
    });

    const inbox = await eventually("it is scheduled", async () => {
      const found = await client.getInbox({ agent_id: "ada" });
      return found.depth.normal.scheduled === 1 && found;
    });
    assert.ok(Date.parse(inbox.next_available_at ?? "") > Date.now() + 80_000_000);
  });

  it("aborts its handler's signal when the lease is lost, and does not count its outcome", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const [message] = await mailForAda(client, 1);
    assert.ok(message);
    const reasons: unknown[] = [];

    await using _ = await client.worker(
      "ada",
      async (_message, { signal, delivery, attempt }: HandlerContext) => {
        if (attempt > 1) return;
        // Somebody with this lease in hand gives the message back behind the worker's back.
        await client.rejectMessage({ message_id: message.id, lease_id: delivery.lease_id, delay_ms: 250 });
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        reasons.push(signal.reason);
      },
      { lease_ms: 300, concurrency: 2 },
    );

    await isAcknowledged(client, message);
    assert.equal(reasons.length, 1);
    assert.ok(reasons[0] instanceof LeaseLost);
  });

  it("does not run a handler beside one of the same message that has lost its lease, but after it", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const [message] = await mailForAda(client, 1);
    assert.ok(message);
    const events: string[] = [];

    await using _ = await client.worker(
      "ada",
      async (_message, { signal, delivery, attempt }) => {
        events.push(`start ${attempt}`);
        if (attempt === 1) {
          await client.rejectMessage({ message_id: message.id, lease_id: delivery.lease_id, delay_ms: 200 });
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
          await new Promise((resolve) => setTimeout(resolve, 400));
        }
        events.push(`end ${attempt}`);
      },
      { lease_ms: 150, concurrency: 2 },
    );

    await isAcknowledged(client, message);
    assert.equal(events.join(", "), `start 1, end 1, ${events[2]}, ${events[3]}`);
    assert.match(String(events[2]), /^start [2-9]/);
  });

  it("keeps a message for longer where its handler asks for it", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const [message] = await mailForAda(client, 1);
    assert.ok(message);
    const answers: unknown[] = [];

    await using _ = await client.worker(
      "ada",
      async (_message, { extend, delivery }) => {
        await extend(60_000);
        await new Promise((resolve) => setTimeout(resolve, 400));
        const { deliveries } = await client.getMessage({ message_id: message.id });
        answers.push(Date.parse(deliveries[0]?.lease_expires_at ?? "") - Date.parse(delivery.lease_expires_at));
      },
      { lease_ms: 300 },
    );

    await isAcknowledged(client, message);
    assert.ok((answers[0] as number) > 50_000, String(answers));
  });

  it("tells a handler that asks too late that the lease is lost", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const [message] = await mailForAda(client, 1);
    assert.ok(message);
    const errors: unknown[] = [];

    await using _ = await client.worker("ada", async (_message, { extend, delivery, attempt }) => {
      if (attempt > 1) return;
      await client.rejectMessage({ message_id: message.id, lease_id: delivery.lease_id, delay_ms: 200 });
      await extend(1_000).catch((error: unknown) => errors.push(error));
      throw new Error("never mind");
    });

    await isAcknowledged(client, message);
    assert.ok(errors[0] instanceof LeaseLost);
  });

  it("does not handle again what it has handled, when the connection was lost before the acknowledgement", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    await using outside = connect(hive.url, { token });
    const [message] = await mailForAda(outside, 1);
    assert.ok(message);
    await using client = connect(wire.url, { token, reconnect_max_ms: 10 });
    let handled = 0;

    await using _ = await client.worker("ada", () => {
      handled += 1;
      wire.cut();
    });

    await isAcknowledged(outside, message);
    assert.equal(handled, 1);
  });

  it("goes on with a handler over a lost connection, under the lease of the redelivery", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    await using outside = connect(hive.url, { token });
    const sent = await mailForAda(outside, 3);
    await using client = connect(wire.url, { token, reconnect_max_ms: 10 });
    const seen: string[] = [];

    await using _ = await client.worker(
      "ada",
      async ({ content }, { signal }) => {
        seen.push(content);
        if (content === "0") wire.cut();
        await new Promise((resolve) => setTimeout(resolve, 500));
        assert.equal(signal.aborted, false);
      },
      { lease_ms: 5_000, prefetch: 2 },
    );

    for (const message of sent) await isAcknowledged(outside, message);
    assert.deepEqual(seen, ["0", "1", "2"]);
  });

  it("gives up a handler whose server stays away for longer than the lease", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token, reconnect_max_ms: 10 });
    await mailForAda(client, 1);
    const aborted = Promise.withResolvers<unknown>();

    await using _ = await client.worker(
      "ada",
      async (_message, { signal, attempt }) => {
        if (attempt > 1) return;
        void hive.stop();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        aborted.resolve(signal.reason);
      },
      { lease_ms: 300 },
    );

    assert.ok((await aborted.promise) instanceof LeaseLost);
    await hive.start();
  });

  it("waits for its handlers when it stops, and gives the rest back", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    const [first, second] = await mailForAda(client, 2);
    assert.ok(first && second);
    const started = Promise.withResolvers<void>();
    let finished = 0;
    const worker = await client.worker(
      "ada",
      async () => {
        started.resolve();
        await new Promise((resolve) => setTimeout(resolve, 100));
        finished += 1;
      },
      { prefetch: 1 },
    );

    await started.promise;
    await worker[Symbol.asyncDispose]();

    assert.equal(finished, 1);
    assert.equal(await worker.ended, undefined);
    assert.equal((await client.getMessage({ message_id: first.id })).acknowledged, true);
    const { deliveries } = await client.claimMessages({ agent_id: "ada", wait_ms: 2_000 });
    assert.deepEqual(deliveries[0]?.message, second);
  });

  it("does not wait for ever for a handler that does not end", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    await mailForAda(client, 1);
    const signals: AbortSignal[] = [];
    const worker = await client.worker(
      "ada",
      (_message, { signal }) => {
        signals.push(signal);
        return new Promise(() => undefined);
      },
      { stop_ms: 50 },
    );
    await eventually("it runs", () => signals.length === 1);

    await worker[Symbol.asyncDispose]();

    assert.equal(signals[0]?.aborted, true);
    const { deliveries } = await client.claimMessages({ agent_id: "ada", wait_ms: 2_000 });
    assert.equal(deliveries.length, 1);
  });

  it("is refused for an agent that is not there", async () => {
    await using hive = await startHive();
    await using client = connect(hive.url, { token });

    await assert.rejects(
      client.worker("nobody", () => undefined),
      failsWith("agent_not_found", /nobody/),
    );
  });
});
