import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Caller } from "../../src/app/mailroom.ts";
import { createRateLimits } from "../../src/app/rate-limits.ts";
import type { Config } from "../../src/config.ts";
import { BusError } from "../../src/contract/errors.ts";
import { operations } from "../../src/contract/operations.ts";
import { operationNames } from "../../src/contract/routes.ts";
import { ada, clockAt, testConfig } from "../support/fixtures.ts";

const agent: Caller = { actor: "ada", scopes: ["agent"], agent_id: ada, key_id: "key-1" };

/** Limits on a clock that stands still, with the delays of the refusals that wait. */
function openLimits(settings: Partial<Config> = {}) {
  const clock = clockAt();
  const waiting: { readonly delay_ms: number; readonly let_go: () => void }[] = [];
  const limited: string[] = [];
  const limits = createRateLimits({
    config: testConfig(settings),
    clock,
    startTimer: (delay_ms, let_go) => {
      waiting.push({ delay_ms, let_go });
      return () => undefined;
    },
    onLimited: (rate_class) => limited.push(rate_class),
  });
  const refused = (name: string, input: unknown = {}, caller = agent) => {
    const refusal = limits.admit(name, input, { caller });
    refusal?.catch(() => undefined);
    return refusal !== undefined;
  };
  return { limits, clock, waiting, limited, refused };
}

const batchOf = (messages: number) => ({ messages: Array.from({ length: messages }, () => ({})) });

describe("the limits on an agent's requests", () => {
  it("are 1,000 sends at once and 200 a second by default", () => {
    const { refused, clock } = openLimits();
    assert.equal(refused("sendMessages", batchOf(999)), false);
    assert.deepEqual([refused("sendMessage"), refused("sendMessage")], [false, true]);
    clock.advance(1_000);
    assert.deepEqual([refused("sendMessages", batchOf(200)), refused("sendMessage")], [false, true]);
  });

  it("follow elapsed time, wherever the wall clock is set", () => {
    const { refused, clock } = openLimits({ sends_burst: 1, sends_per_second: 1 });
    refused("sendMessage");
    clock.setWall(clock.now() + 1e9);
    assert.equal(refused("sendMessage"), true);
  });

  it("apply to every operation but those that bring work to an end, each class by itself", () => {
    for (const name of operationNames) {
      const settings = { sends_burst: 1, reads_burst: 1, changes_burst: 1 };
      const { refused } = openLimits(settings);
      refused(name);
      const { rate_class } = operations[name];
      assert.equal(refused(name), rate_class !== "finish", name);
      for (const other of operationNames) {
        const expected = operations[other].rate_class === rate_class && rate_class !== "finish";
        if (operations[other].rate_class === rate_class)
          assert.equal(refused(other), expected, `${other} after ${name}`);
      }
      const [free] = operationNames.filter((it) => operations[it].rate_class !== rate_class);
      assert.equal(refused(free ?? ""), false, `${free} after ${name}`);
    }
  });

  it("never apply to acknowledging, rejecting, keeping a lease, evidence, credit and unsubscribing", () => {
    const { refused } = openLimits({ reads_burst: 1, sends_burst: 1, changes_burst: 1 });
    for (const name of "acknowledgeMessage acknowledgeMessages rejectMessage extendLease recordEvidence credit unsubscribe".split(
      " ",
    )) {
      for (let i = 0; i < 5_000; i++) assert.equal(refused(name), false);
    }
  });

  it("count subscribing, following and what does not exist as reads", () => {
    for (const name of ["subscribe", "follow", "openTheDoor", "constructor"]) {
      const { refused } = openLimits({ reads_burst: 1 });
      assert.deepEqual([refused(name), refused("getAgent")], [false, true], name);
    }
  });

  it("do not apply to those who hold more than the scope agent, or no token of their own", () => {
    const { refused } = openLimits({ sends_burst: 1 });
    const others: readonly Caller[] = [
      { ...agent, scopes: ["agent", "observe"] },
      { ...agent, scopes: ["operate"] },
      { actor: "operator", scopes: ["admin"], key_id: "key-1" },
      { actor: "ada", scopes: ["agent"], agent_id: ada },
    ];
    for (const caller of others) {
      for (let i = 0; i < 3; i++) assert.equal(refused("sendMessage", {}, caller), false);
    }
  });

  it("are each token's own", () => {
    const { refused } = openLimits({ sends_burst: 1 });
    const other = { ...agent, key_id: "key-2" };
    assert.deepEqual(
      [agent, other, agent, other].map((caller) => refused("sendMessage", {}, caller)),
      [false, false, true, true],
    );
  });

  it("count what is no legal batch as one", () => {
    for (const input of [undefined, null, 7, { messages: 3 }, { messages: [] }, batchOf(1_001)]) {
      const { refused } = openLimits({ sends_burst: 2 });
      const after = [refused("sendMessages", input), refused("sendMessage"), refused("sendMessage")];
      assert.deepEqual(after, [false, false, true], JSON.stringify(input)?.slice(0, 30));
    }
  });

  it("say of a batch larger than the burst that it can never be sent, rather than when", async () => {
    const { limits, refused } = openLimits({ sends_burst: 10 });
    await assert.rejects(
      limits.admit("sendMessages", batchOf(11), { caller: agent }) ?? Promise.resolve(),
      (error: BusError) =>
        error.code === "invalid_input" &&
        error.retry_after_ms === undefined &&
        /11 messages .* 10 /.test(error.message),
    );
    assert.equal(refused("sendMessages", batchOf(10)), false);
  });

  it("tell the caller how its token stands", () => {
    const { limits } = openLimits();
    const heard: object[] = [];
    const onRate = ({ standing, ...rest }: { standing: object }) => void heard.push({ ...rest, ...standing });
    limits.admit("sendMessages", batchOf(400), { caller: agent, onRate });
    limits.admit("acknowledgeMessage", {}, { caller: agent, onRate });
    assert.deepEqual(heard, [
      {
        rate_class: "send",
        window_s: 5,
        allowed: true,
        limit: 1_000,
        remaining: 600,
        reset_ms: 2_000,
        retry_after_ms: 0,
      },
    ]);
  });
});

describe("a refusal", () => {
  it("waits behind the token's other refusals, at the pace of the limit, a second at most", () => {
    const { refused, waiting, limited } = openLimits({ sends_burst: 1, sends_per_second: 10 });
    for (let i = 0; i < 13; i++) refused("sendMessage");
    const delays = waiting.map((it) => Math.round(it.delay_ms));
    assert.deepEqual(delays, [100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000, 1_000, 1_000]);
    assert.deepEqual(limited, Array(12).fill("send"));
  });

  it("of a batch waits as long as its messages would", () => {
    const { refused, waiting } = openLimits({ sends_burst: 100, sends_per_second: 1_000 });
    refused("sendMessages", batchOf(100));
    refused("sendMessages", batchOf(100));
    assert.deepEqual(
      waiting.map((it) => it.delay_ms),
      [100],
    );
  });

  it("is told with what is left to wait, and tells nobody else's wait", async () => {
    const { limits, waiting, refused } = openLimits({ sends_burst: 5, sends_per_second: 2 });
    refused("sendMessages", batchOf(5));
    const held: Promise<never>[] = [];
    const refusal = limits.admit("sendMessages", batchOf(4), { caller: agent, onHeld: (it) => held.push(it) });
    assert.deepEqual(held, [refusal]);
    waiting[0]?.let_go();
    await assert.rejects(refusal ?? Promise.resolve(), (error: BusError) => {
      assert.ok(error instanceof BusError);
      assert.deepEqual([error.code, error.retry_after_ms], ["rate_limited", 1_000]);
      return /2\/s, and 5 at once/.test(error.message);
    });
  });
});
