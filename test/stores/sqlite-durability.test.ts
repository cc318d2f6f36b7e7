import { strict as assert } from "node:assert/strict";
import { describe, it } from "node:test";
import type { Store } from "../../src/app/ports.ts";
import { silentLog } from "../../src/base/log.ts";
import { ada, aPublication, bob, clockAt, monday_ms, temporaryFolder, testPolicy } from "../support/fixtures.ts";
import { openUnlockedStore } from "../support/unlocked.ts";
import { aClaim, leaseOf } from "./opened.ts";

const policy = testPolicy();
const retention_ms = 0;

function open(folder: string, clock = clockAt()): Promise<Store> {
  return openUnlockedStore({ folder, clock, policy, log: silentLog, retention_ms });
}

async function claimOne(store: Store) {
  const outcome = await store.deliveries.claim(aClaim(bob, { limit: 1 }));
  assert(outcome.outcome === "claimed");
  const [delivery] = outcome.deliveries;
  assert(delivery);
  return delivery;
}

describe("the SQLite store, opened again", () => {
  it("hands out what was accepted and not acknowledged, in order, leases void and attempts of ended leases counted", async () => {
    await using folder = await temporaryFolder();
    await using first = await open(folder.path);
    for (const content of ["one", "two", "three"]) await first.deliveries.publish([aPublication({ content })]);
    const one = await claimOne(first);
    await first.deliveries.reject(leaseOf(one), "not now", { actor: bob, delay_ms: 0 });
    const leased = await first.deliveries.claim(aClaim(bob, { limit: 2 }));
    assert(leased.outcome === "claimed");
    const [, two] = leased.deliveries;
    assert(two);
    await first.deliveries.acknowledge([leaseOf(two)], bob);
    await first[Symbol.asyncDispose]();

    await using second = await open(folder.path);
    const again = await second.deliveries.claim(aClaim(bob));
    assert(again.outcome === "claimed");
    assert.deepEqual(
      again.deliveries.map((it) => [it.message.content, it.attempt]),
      [
        ["one", 2],
        ["three", 1],
      ],
    );
    assert.deepEqual(await second.deliveries.acknowledge([leaseOf(one), leaseOf(two)], bob), [
      "lease_lost",
      "acknowledged",
    ]);
  });

  it("knows where each message came from", async () => {
    await using folder = await temporaryFolder();
    await using first = await open(folder.path);
    const provenance = { actor: "operator:7Zk3QpX0a1B", token: "operate", trust: "operator" } as const;
    await first.deliveries.publish([aPublication({ provenance }), aPublication()]);
    await first[Symbol.asyncDispose]();

    await using second = await open(folder.path);
    assert.deepEqual((await claimOne(second)).message.provenance, provenance);
    assert.deepEqual((await claimOne(second)).message.provenance, { actor: ada, token: "agent", trust: "agent" });
  });

  it("keeps waiting for what was scheduled, holding what was held, and listing what was dead", async () => {
    await using folder = await temporaryFolder();
    await using first = await open(folder.path);
    const later = aPublication({ content: "later", deliver_at_ms: monday_ms + 60_000 });
    const doomed = aPublication({ content: "doomed", expires_at_ms: monday_ms - 1 });
    await first.deliveries.publish([later, doomed]);
    await first.deliveries.sweep(10);
    await first[Symbol.asyncDispose]();

    const clock = clockAt();
    await using second = await open(folder.path, clock);
    const { depth, dead, next_available_in_ms } = await second.history.inbox(bob);
    assert.deepEqual([depth.normal.scheduled, dead, next_available_in_ms], [1, 1, 60_000]);
    assert.deepEqual(
      (await second.history.deadLetters({ limit: 10 })).rows.map((it) => [it.message.content, it.reason]),
      [["doomed", "expired"]],
    );
    clock.advance(60_000);
    await second.deliveries.sweep(10);
    assert.equal((await claimOne(second)).message.content, "later");
  });

  it("goes on with the positions of events and the activity of conversations", async () => {
    await using folder = await temporaryFolder();
    await using first = await open(folder.path);
    const [sent] = await first.deliveries.publish([aPublication()]);
    const head = await first.events.head();
    await first[Symbol.asyncDispose]();

    const clock = clockAt(monday_ms + 5_000);
    await using second = await open(folder.path, clock);
    assert.equal(await second.events.head(), head);
    await second.deliveries.publish([aPublication()]);
    assert.equal(await second.events.head(), head + 1);
    const [conversation] = await second.conversations.conversations({ participant: ada, limit: 10 });
    assert(sent?.outcome === "accepted");
    assert.equal(conversation?.id, sent.message.conversation_id);
    assert.equal(conversation.last_activity, "2026-01-05T09:00:05.000Z");
  });
});

describe("group commit", () => {
  it("writes what arrives together with one commit, and nothing for a claim alone", async () => {
    await using folder = await temporaryFolder();
    await using store = await open(folder.path);
    await store.status();
    await Promise.all(Array.from({ length: 100 }, () => store.deliveries.publish([aPublication()])));
    const { observations } = await store.status();
    assert.deepEqual(observations["commit_batch_size"], [100]);
    assert.equal(observations["fsync_ms"]?.length, 1);
    assert.equal(observations["accept_ms"]?.length, 100);
    await store.deliveries.claim(aClaim(bob));
    assert.deepEqual((await store.status()).observations, {});
  });
});

describe("the search index", () => {
  it("finds what was accepted a moment ago, whether or not it has got into the index", async () => {
    await using folder = await temporaryFolder();
    await using store = await open(folder.path);
    for (let round = 0; round < 20; round++) {
      await store.deliveries.publish([aPublication({ content: `needle ${round}` }), aPublication({ content: "hay" })]);
      const { rows } = await store.history.search({ words: ["needle"], order: "newest", limit: 100 });
      assert.deepEqual(
        rows.map((it) => it.content),
        Array.from({ length: round + 1 }, (_, index) => `needle ${round - index}`),
      );
    }
  });
});
