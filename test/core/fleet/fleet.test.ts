import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Agent } from "../../../src/contract/agents.ts";
import { isAble, pickRecipient } from "../../../src/core/fleet/discovery.ts";
import { healthOf } from "../../../src/core/fleet/health.ts";
import { ada, bob, cleo } from "../../support/fixtures.ts";

function anAgent(overrides: Partial<Agent> = {}): Agent {
  return {
    agent_id: ada,
    capabilities: [],
    groups: [],
    aliases: [],
    metadata: {},
    registered_at: "2026-01-05T09:00:00.000Z",
    status: "available",
    health: "alive",
    ...overrides,
  };
}

describe("health", () => {
  it("goes from alive over suspect to dead as the silence grows", () => {
    const policy = { alive_ms: 10, dead_ms: 20 };
    assert.deepEqual(
      [0, 10, 11, 20, 21].map((it) => healthOf(it, policy)),
      ["alive", "alive", "suspect", "suspect", "dead"],
    );
  });
});

describe("an agent", () => {
  const rust = anAgent({ capabilities: [{ name: "rust", level: 5 }, { name: "review" }] });

  it("is able when it has every capability at the level asked or above", () => {
    assert.ok(isAble(rust, [{ name: "rust", level: 5 }, { name: "review" }]));
    assert.equal(isAble(rust, [{ name: "rust", level: 6 }]), false);
    assert.equal(isAble(rust, [{ name: "review", level: 2 }]), false);
    assert.equal(isAble(rust, [{ name: "go" }]), false);
  });
});

describe("the recipient that is picked", () => {
  it("is the healthiest, then the one that takes work, then the one with least waiting, then the first by id", () => {
    const suspect = { agent: anAgent({ agent_id: ada, health: "suspect" }), waiting: 0 };
    const draining = { agent: anAgent({ agent_id: ada, status: "draining" }), waiting: 0 };
    const loaded = { agent: anAgent({ agent_id: ada }), waiting: 3 };
    const free = { agent: anAgent({ agent_id: cleo, status: "busy" }), waiting: 1 };
    const alsoFree = { agent: anAgent({ agent_id: bob }), waiting: 1 };
    assert.equal(pickRecipient([suspect, draining, loaded, free, alsoFree])?.agent.agent_id, bob);
    assert.equal(pickRecipient([suspect, draining])?.agent.status, "draining");
  });

  it("is nobody where there is nobody", () => {
    assert.equal(pickRecipient([]), undefined);
  });
});
