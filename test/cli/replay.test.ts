import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { main } from "../../src/cli/main.ts";
import type { Summary } from "../../src/cli/replay/summary.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { fakeTerminal, run } from "./fake-terminal.ts";
import { openTestHive, type TestHive } from "./test-hive.ts";

const sample = "examples/fleet-day.jsonl";
let hive: TestHive;

before(async () => {
  hive = await openTestHive();
});

after(() => hive[Symbol.asyncDispose]());

async function summaryOf(...argv: string[]): Promise<Summary> {
  const { code, out, err } = await hive.hivepost("replay", ...argv, "--json");
  assert.equal(code, 0, err + out);
  return JSON.parse(out);
}

describe("hivepost replay", () => {
  it("sends a recorded day through the bus and verifies all of it", async () => {
    const { code, out } = await hive.hivepost("replay", sample);
    assert.equal(code, 0, out);
    assert.match(
      out,
      /^examples\/fleet-day\.jsonl: 121 messages, 8 agents, 8 conversations\nsent 121, accepted 121, delivered 121, acknowledged 121\n/,
    );
    assert.match(out, /asked the history for 8 conversations, \d+ pairs, \d+ words\nverified: /);
  });

  it("can be done again on the same hive, by other names, and by fewer agents", async () => {
    const again = await summaryOf(sample);
    const renamed = await summaryOf(sample, "--prefix", "monday-");
    const shared = await summaryOf(sample, "--agents", "3");
    assert.deepEqual(
      [again, renamed, shared].map((it) => [it.replay?.verified, it.replay?.acknowledged, it.agents]),
      [
        [true, 121, 8],
        [true, 121, 8],
        [true, 121, 3],
      ],
    );
    const found = await hive.json(
      "search",
      "--participant",
      "monday-backend",
      "--with",
      "monday-tester",
      "--order",
      "asc",
    );
    assert.match(JSON.stringify(found), /^\{"messages":\[\{[^}]*"content":"Run 117, both within 4 ms/);
  });

  it("leaves what it sent in the history, under its own mark", async () => {
    const { replay } = await summaryOf(sample, "--limit", "10");
    const { messages } = (await hive.json("search", "--metadata.replay", replay?.run ?? "")) as unknown as {
      messages: { metadata: object }[];
    };
    assert.deepEqual(
      [messages.length, messages.at(-1)?.metadata],
      [10, { replay: replay?.run, line: 1, recorded_at: "2026-11-16T08:58:00Z" }],
    );
  });

  it("keeps the pace of the recording, times its speed", async () => {
    // The first three rows span 41 seconds.
    const { replay } = await summaryOf(sample, "--limit", "3", "--speed", "100");
    assert.ok((replay?.duration_ms ?? 0) >= 410, String(replay?.duration_ms));
  });

  it("leaves bad lines out and names them, or stops at them", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "log.jsonl");
    await writeFile(file, '{"from": "bad-a", "to": "bad-a", "text": "to myself"}\nnonsense\n');
    const { code, out } = await hive.hivepost("replay", file);
    assert.equal(code, 0, out);
    assert.match(out, /1 message, 1 agent, 1 conversation\n1 line left out:\n {2}line 2: no JSON\n/);
    const strict = await hive.hivepost("replay", file, "--strict");
    assert.equal(strict.code, 1);
    assert.match(strict.err, /line 2: no JSON; mend it, or leave out --strict/);
  });

  it("only reads the file with --check, without a server", async () => {
    const { code, out } = await run(["replay", sample, "--check"], {
      environment: { HIVEPOST_URL: "http://127.0.0.1:4" },
    });
    assert.deepEqual([code, out], [0, `${sample}: 121 messages, 8 agents, 8 conversations\n`]);
  });

  it("does not take the mail of agents that are not its own", async () => {
    await hive.hivepost("register", "real-infra", "--alias", "own-infra");
    const { code, err } = await hive.hivepost("replay", sample, "--prefix", "own-");
    assert.equal(code, 1);
    assert.match(err, /alias_taken: own-infra is an agent of this hive already.*--prefix/);
  });

  it("says which messages the bus did not take, with exit code 1", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "log.jsonl");
    // Longer than a frame may be, but not too long for a message.
    const rows = ["short", "x".repeat(300_000)].map((text) => JSON.stringify({ from: "long-a", to: "long-b", text }));
    await writeFile(file, rows.join("\n"));
    const { code, out } = await hive.hivepost("replay", file);
    assert.equal(code, 1);
    assert.match(out, /NOT verified: 1 problem\n {2}line 2 was not accepted: .*/);
  });

  it("stops when it is told to, and says so", async () => {
    const terminal = fakeTerminal({ environment: hive.environment });
    const argv = ["replay", sample, "--speed", "1", "--prefix", "stop-", "--json"];
    const ended = main(argv, terminal);
    await eventually("the first message is sent", async () => {
      const { out } = await hive.hivepost("search", "--participant", "stop-planner", "--json");
      return out.includes('"content"');
    });
    process.emit("SIGINT", "SIGINT");
    assert.equal(await ended, 1);
    const { replay }: Summary = JSON.parse(terminal.out());
    assert.deepEqual([replay?.stopped, replay?.verified, replay?.problems], [true, false, []]);
  });

  for (const [argv, message] of [
    [[], /replay wants one file/],
    [["a", "b"], /replay wants one file/],
    [[sample, "--speed", "fast"], /--speed wants a positive number/],
    [[sample, "--agents", "0"], /--agents wants a whole number/],
    [[sample, "--prefix", "a b"], /cannot begin an agent's name/],
  ] as const) {
    it(`is told of wrong usage: ${argv.join(" ")}`, async () => {
      const { code, err } = await hive.hivepost("replay", ...argv);
      assert.equal(code, 2);
      assert.match(err, message);
    });
  }

  it("is told of a file that is not there, or holds nothing", async () => {
    const missing = await hive.hivepost("replay", "/nowhere/log.jsonl");
    assert.deepEqual([missing.code, missing.err], [1, "hivepost: /nowhere/log.jsonl does not exist\n"]);
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "log.jsonl");
    await writeFile(file, "\n\n");
    assert.match((await hive.hivepost("replay", file)).err, /holds no message/);
  });
});
