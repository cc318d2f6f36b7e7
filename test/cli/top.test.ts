import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { widthOf } from "../../src/cli/print.ts";
import { createInboxWatch } from "../../src/cli/top-inboxes.ts";
import { type Snapshot, screenOf } from "../../src/cli/top-screen.ts";
import type { Agent } from "../../src/contract/agents.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { AgentId, Inbox } from "../../src/contract/messages.ts";

const at = "2026-01-05T09:00:00.000Z";
const nothing = { ready: 0, scheduled: 0, leased: 0, held: 0 };

function anAgent(agent_id: string, overrides: Partial<Agent> = {}): Agent {
  const lists = { capabilities: [], groups: [], aliases: [], metadata: {} };
  const rest = { registered_at: at, status: "available", health: "alive" } as const;
  return { agent_id: agent_id as AgentId, ...lists, ...rest, ...overrides };
}

function anInbox(agent_id: AgentId, ready: number): Inbox {
  const depth = { urgent: nothing, high: nothing, normal: { ...nothing, ready }, low: nothing };
  return { agent_id, depth, total: ready, dead: 0, limit: 10, explanation: [] };
}

/** A hive whose agents have so much mail each; notes whose inbox was read. */
function aHive(mail: Readonly<Record<string, number>>) {
  const read: string[] = [];
  return {
    read,
    async getInbox({ agent_id }: { agent_id: string }): Promise<Inbox> {
      read.push(agent_id);
      const ready = mail[agent_id];
      if (ready === undefined) throw new BusError("agent_not_found", "gone");
      return anInbox(agent_id as AgentId, ready);
    },
  };
}

describe("the watched inboxes", () => {
  it("are all read where the budget allows, the fullest first", async () => {
    const hive = aHive({ a: 1, b: 5, c: 0 });
    const agents = [anAgent("a"), anAgent("b"), anAgent("c", { last_seen_at: at }), anAgent("d")];
    const watched = await createInboxWatch(hive, Number.POSITIVE_INFINITY).read(agents);
    assert.deepEqual(
      watched.map(({ agent, inbox }) => [agent.agent_id, inbox?.total]),
      [
        ["b", 5],
        ["a", 1],
        ["c", 0],
        ["d", undefined],
      ],
    );
  });

  it("are read in turns otherwise, those that hold mail at every look", async () => {
    const hive = aHive({ a: 0, b: 3, c: 0, d: 0 });
    const watch = createInboxWatch(hive, 2);
    const agents = ["a", "b", "c", "d"].map((it) => anAgent(it));
    const looks: string[] = [];
    for (let look = 0; look < 4; look++) {
      await watch.read(agents);
      looks.push(hive.read.splice(0).sort().join(""));
    }
    assert.ok(
      looks.slice(1).every((it) => it.includes("b")),
      looks.join(" "),
    );
    assert.deepEqual([...new Set(looks.join(""))].sort(), ["a", "b", "c", "d"]);
    assert.ok(looks.every((it) => it.length === 2));
  });

  it("let other errors through", async () => {
    const broken = { getInbox: () => Promise.reject(new BusError("unavailable", "no")) };
    await assert.rejects(createInboxWatch(broken, 1).read([anAgent("a")]), { code: "unavailable" });
  });
});

const store = {
  depth: { urgent: 1, high: 2, normal: 3, low: 4 },
  oldest_age_ms: 12_000,
  leased: 5,
  dead: 6,
  counts: { accepted: 1_000, delivered: 7 },
};

function aSnapshot(overrides: Partial<Snapshot> = {}): Snapshot {
  const health = { status: "ok", version: "1.2.3", uptime_ms: 60_000, store };
  return { at_ms: 10_000, health, agents: [], before: undefined, ...overrides };
}

const frame = { url: "http://hive", columns: 100, rows: 12 };

describe("the screen of top", () => {
  it("shows the totals, and rates from the second look on", () => {
    const first = screenOf(aSnapshot(), frame).split("\n");
    assert.deepEqual(first.slice(0, 3), [
      "hivepost 1.2.3 at http://hive: ok, up 60 s, 0 agents",
      "waiting     urgent 1  high 2  normal 3  low 4   oldest 12 s   leased 5   dead 6",
      "per second  accepted …  delivered …",
    ]);
    const before = { at_ms: 8_000, counts: { accepted: 900, delivered: 6 } };
    assert.match(screenOf(aSnapshot({ before }), frame), /per second {2}accepted 50 {2}delivered 0\.5\n/);
    const restarted = { at_ms: 8_000, counts: { accepted: 9_000, delivered: 7 } };
    assert.match(screenOf(aSnapshot({ before: restarted }), frame), /accepted 0 {2}delivered 0\n/);
    const justNow = { at_ms: 8_000, counts: {} };
    assert.match(screenOf(aSnapshot({ before: justNow }), frame), /accepted 500 /);
  });

  it("shows each agent, as far as its inbox is known", () => {
    const busy = anAgent("bob", { current_task: "login", last_seen_at: at });
    const agents = [
      { agent: busy, inbox: { ...anInbox(busy.agent_id, 3), oldest_age_ms: 5_000 } },
      { agent: anAgent("cleo", { health: "dead" }), inbox: undefined },
    ];
    const text = screenOf(aSnapshot({ agents }), frame);
    assert.match(text, /^bob +alive +available +3 +0 +0 +0 +0 +5 s +2026-01-05T09:00:00\.000Z +login$/m);
    assert.match(text, /^cleo +dead +available +… .* not yet$/m);
  });

  it("never overflows the terminal, and says how many it leaves out", () => {
    const agents = Array.from({ length: 50 }, (_, i) => ({ agent: anAgent(`agent-${i}`), inbox: undefined }));
    const text = screenOf(aSnapshot({ agents }), { ...frame, columns: 40 });
    const lines = text.trimEnd().split("\n");
    assert.ok(lines.length <= 12, String(lines.length));
    for (const line of lines) assert.ok(widthOf(line) <= 40, line);
    assert.match(text, /… and 44 more agents\n$/);
  });

  it("shows what a token without more rights may see", () => {
    const text = screenOf(aSnapshot({ health: { status: "ok" } }), frame);
    assert.match(text, /^hivepost {2}at http:\/\/hive: ok, 0 agents\nthe token lets nothing more be seen\n/);
  });
});
