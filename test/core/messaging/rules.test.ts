import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { moments } from "../../../src/contract/messages.ts";
import { addressText, participantsOf } from "../../../src/core/messaging/addresses.ts";
import { effectiveRank, mayReach, rankOf } from "../../../src/core/messaging/order.ts";
import { afterFailure, judgeLoop, replyDepth, retryDelayMs } from "../../../src/core/messaging/policy.ts";
import { ada, bob, cleo } from "../../support/fixtures.ts";

const retry = { max_attempts: 3, base_delay_ms: 100, max_delay_ms: 60_000 };
const loop = { window_ms: 60_000, slow_after: 3, hold_after: 6, base_delay_ms: 1_000, max_delay_ms: 4_000 };

describe("a failed delivery", () => {
  it("is tried again while attempts remain", () => {
    assert.equal(afterFailure(retry, 2, "m").state, "again");
  });

  it("is given up after the last attempt", () => {
    assert.deepEqual(afterFailure(retry, 3, "m"), { state: "dead" });
  });

  it("waits between nothing and the ceiling, which doubles with each attempt up to the longest delay", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.string(), (attempt, id) => {
        const delay_ms = retryDelayMs(retry, attempt, id);
        assert.ok(Number.isInteger(delay_ms));
        assert.ok(delay_ms >= 0 && delay_ms <= Math.min(retry.max_delay_ms, 100 * 2 ** (attempt - 1)));
      }),
    );
  });

  it("does not wait as long as its neighbours, so that they do not all come back at once", () => {
    const delays = new Set(Array.from({ length: 100 }, (_, i) => retryDelayMs(retry, 9, `message-${i}`)));
    assert.ok(delays.size > 90);
  });
});

describe("the order of an inbox", () => {
  it("ranks urgent before high before normal before low", () => {
    assert.deepEqual((["urgent", "high", "normal", "low"] as const).map(rankOf), [0, 1, 2, 3]);
  });

  it("raises what has waited longer than aging_ms by one rank, and nothing above urgent", () => {
    assert.equal(effectiveRank(3, 1_001, 1_000), 2);
    assert.equal(effectiveRank(3, 1_000, 1_000), 3);
    assert.equal(effectiveRank(3, 10 ** 9, 1_000), 2);
    assert.equal(effectiveRank(0, 5_000, 1_000), 0);
  });

  it("never raises anything where aging is off", () => {
    assert.equal(effectiveRank(3, 10 ** 9, undefined), 3);
  });
});

describe("the moment a message may reach its agent", () => {
  it("is its own or any less intrusive one", () => {
    fc.assert(
      fc.property(fc.nat(3), fc.nat(3), (own, now) => {
        const [when, moment] = [moments[own] ?? "turn", moments[now] ?? "turn"];
        assert.equal(mayReach(when, moment), own <= now);
      }),
    );
  });
});

describe("the loop breaker", () => {
  it("counts a reply that comes within the window and starts anew after it", () => {
    const answered = { reply_depth: 4, readable_ms: 1_000 };
    assert.equal(replyDepth(loop, answered, 61_000), 5);
    assert.equal(replyDepth(loop, answered, 61_001), 0);
  });

  it("lets the first replies pass, then slows each more than the last, then holds", () => {
    const verdicts = [2, 3, 4, 5, 6].map((depth) => judgeLoop(loop, depth));
    assert.deepEqual(
      verdicts.map((it) => (it.verdict === "slow" ? it.delay_ms : it.verdict)),
      ["pass", 1_000, 2_000, 4_000, "hold"],
    );
  });

  it("says in its reason how to release what it holds", () => {
    const verdict = judgeLoop(loop, 6);
    assert.ok(verdict.verdict === "hold" && verdict.reason.includes("redrive"));
  });
});

describe("an address", () => {
  it("is told in one line that no agent id can be mistaken for", () => {
    assert.equal(addressText({ group: "reviewers" }), "group:reviewers");
    assert.equal(addressText({ capability: "rust" }), "capability:rust");
    assert.equal(addressText({ broadcast: true }), "broadcast");
  });

  it("puts sender and recipients into one sorted list without repetition", () => {
    assert.deepEqual(participantsOf(bob, [cleo, ada, bob]), [ada, bob, cleo]);
  });
});
