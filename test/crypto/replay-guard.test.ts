import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { MessageId } from "../../src/contract/messages.ts";
import { createReplayGuard } from "../../src/crypto/sealed/replay-guard.ts";
import { failsWith } from "../client/fails-with.ts";
import { messageId, monday_ms } from "../support/fixtures.ts";
import { bobKeys, openAs, sealForBob } from "./sealed-scene.ts";

const opened = (signature: string, sealed_at_ms = monday_ms) => ({
  signature,
  sealed_at: new Date(sealed_at_ms).toISOString(),
});
const replayed = (words: RegExp) => failsWith("sealed_replayed", words);

describe("a replay guard", () => {
  it("knows a message that is delivered again, and refuses other content under its id", async () => {
    const guard = createReplayGuard({ retention_ms: 1_000 });
    const id = messageId();
    const first = await openAs(bobKeys, await sealForBob());
    const other = await openAs(bobKeys, await sealForBob({ payload: { content: "something else", metadata: {} } }));
    assert.equal(guard.admit(id, first, monday_ms), "first");
    assert.equal(guard.admit(id, first, monday_ms + 10), "again");
    assert.throws(() => guard.admit(id, other, monday_ms + 20), replayed(/other content/));
    assert.equal(guard.admit(messageId(), other, monday_ms + 30), "first");
  });

  it("takes a message as new once within the retention time, whenever it comes back", () => {
    const retention_ms = 1_000;
    const times = fc.array(fc.nat({ max: 5_000 }), { minLength: 1 });
    fc.assert(
      fc.property(times, fc.integer({ min: -2_000, max: 2_000 }), (given, ahead_ms) => {
        const guard = createReplayGuard({ retention_ms });
        const id = messageId();
        const said = given
          .toSorted((a, b) => a - b)
          .map((ms) => {
            try {
              return guard.admit(id, opened("s", monday_ms + ahead_ms), monday_ms + ms);
            } catch (error) {
              replayed(/./)(error);
              return "replayed";
            }
          });
        assert.ok(said.filter((it) => it === "first").length <= 1, said.join());
        const [earliest = 0] = given.toSorted((a, b) => a - b);
        assert.equal(said[0], ahead_ms >= earliest - retention_ms ? "first" : "replayed");
      }),
    );
  });

  it("still knows a message in the last millisecond in which it would admit it", () => {
    const guard = createReplayGuard({ retention_ms: 1_000 });
    const id = messageId();
    assert.equal(guard.admit(id, opened("s"), monday_ms), "first");
    assert.equal(guard.admit(id, opened("s"), monday_ms + 1_000), "again");
  });

  it("refuses what is older than it remembers, or has no time", () => {
    const guard = createReplayGuard({ retention_ms: 60_000 });
    assert.throws(() => guard.admit(messageId(), opened("a"), monday_ms + 60_001), replayed(/only the last 60 s/));
    assert.throws(
      () => guard.admit(messageId(), { signature: "a", sealed_at: "x" }, monday_ms),
      replayed(/sealed at x/),
    );
  });

  it("never remembers more than its capacity, and forgets the earliest first", () => {
    const guard = createReplayGuard({ retention_ms: 1_000, capacity: 3 });
    const ids = ["a", "b", "c", "d"] as MessageId[];
    for (const id of ids) guard.admit(id, opened(id), monday_ms);
    assert.equal(guard.size, 3);
    assert.equal(guard.admit("b" as MessageId, opened("b"), monday_ms), "again");
    assert.equal(guard.admit("a" as MessageId, opened("a"), monday_ms), "first");
    guard.admit("e" as MessageId, opened("e", monday_ms + 1_001), monday_ms + 1_001);
    assert.equal(guard.size, 1);
  });
});
