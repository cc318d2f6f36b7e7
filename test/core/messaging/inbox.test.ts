import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { explainInbox, type InboxCounts, sumOf, totalDepth } from "../../../src/core/messaging/inbox.ts";
import { bob } from "../../support/fixtures.ts";

const none = { ready: 0, scheduled: 0, leased: 0, held: 0 };
const empty: InboxCounts = {
  depth: { urgent: none, high: none, normal: none, low: none },
  dead: 0,
  oldest_age_ms: undefined,
  next_available_in_ms: undefined,
  next_lease_expires_in_ms: undefined,
  open_leases: 0,
};
const about = {
  agent_id: bob,
  subscriptions: 0,
  last_seen_ago_ms: 180_000,
  open_leases_limit: 10,
  inbox_depth: 100,
};
const holding = (depth: Partial<typeof none>, rest: Partial<InboxCounts> = {}): InboxCounts => ({
  ...empty,
  depth: { ...empty.depth, normal: { ...none, ...depth } },
  ...rest,
});

describe("an inbox", () => {
  it("counts what waits over all priorities and states", () => {
    const counts = { ...empty, depth: { ...empty.depth, urgent: { ...none, ready: 2 }, low: { ...none, held: 3 } } };
    assert.equal(totalDepth(counts), 5);
    assert.equal(sumOf(counts, "held"), 3);
  });

  const explained: [string, InboxCounts, Partial<typeof about>, RegExp][] = [
    ["is empty", empty, {}, /^Nothing waits here\.$/],
    ["waits for an agent that is away", holding({ ready: 2 }), {}, /2 ready.*not connected.*3 min ago/],
    [
      "waits for an agent never heard of",
      holding({ ready: 1 }),
      { last_seen_ago_ms: undefined as never },
      /not been heard of/,
    ],
    ["waits for a subscriber", holding({ ready: 1 }), { subscriptions: 1 }, /subscriber is connected/],
    [
      "waits for an agent with all leases taken",
      holding({ ready: 1 }, { open_leases: 10 }),
      {},
      /must acknowledge first/,
    ],
    ["is being handled", holding({ leased: 4 }, { next_lease_expires_in_ms: 12_000 }), {}, /4 leased.*12 s/],
    ["is scheduled", holding({ scheduled: 4 }, { next_available_in_ms: 9_000 }), {}, /4 scheduled.*9 s/],
    ["is held", holding({ held: 1 }), {}, /loop breaker/],
    ["has dead letters", holding({}, { dead: 3 }), {}, /3 dead/],
    ["is full", holding({ ready: 100 }), {}, /full/],
  ];
  for (const [what, counts, differently, expected] of explained) {
    it(`says so when it ${what}`, () => {
      assert.match(explainInbox(counts, { ...about, ...differently }).join("\n"), expected);
    });
  }
});
