import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { runHivepost, spawnHivepost, spawnServer } from "./spawned.ts";
import { openTestHive, type TestHive } from "./test-hive.ts";

let hive: TestHive;

before(async () => {
  hive = await openTestHive();
});

after(() => hive[Symbol.asyncDispose]());

type Event = { readonly event: string; readonly cursor: string; readonly agent_id?: string };

function eventsOf(out: string): Event[] {
  return out
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** A `tail` that follows: only what happens once it does is certain to reach it. */
async function following(...argv: string[]) {
  const tail = spawnHivepost(["tail", ...argv], { environment: hive.environment });
  await eventually("it follows", async () => {
    await hive.hivepost("register", "tail-probe");
    return tail.out() !== "";
  });
  return tail;
}

describe("hivepost tail", () => {
  it("shows events as they happen, and says how to go on from where it stopped", async () => {
    await hive.hivepost("register", "tail-bob");
    await using tail = await following();
    const { id } = await hive.json("send", "tail-bob", "one", "--from", "tail-ada");
    await eventually("the message is shown", () => tail.out().includes(String(id)));
    tail.process.kill("SIGINT");
    assert.equal(await tail.ended, 0);
    assert.match(tail.out(), new RegExp(`^\\S+Z {2}accepted +${id} (for tail-bob )?by operator$`, "m"));
    const [, cursor = ""] = /hivepost tail --after (\S+)\n$/.exec(tail.err()) ?? [];

    const two = await hive.json("send", "tail-bob", "two");
    await using resumed = spawnHivepost(["tail", "--after", cursor, "--json"], { environment: hive.environment });
    await eventually("it caught up", () => resumed.out().includes(String(two["id"])));
    assert.ok(!resumed.out().includes(String(id)));
    assert.ok(eventsOf(resumed.out()).every((it) => typeof it.cursor === "string"));
  });

  it("shows only what is asked for", async () => {
    await hive.hivepost("register", "filter-bob");
    await hive.hivepost("register", "filter-cleo");
    await using tail = await following("--json", "--event", "accepted,agent_registered");
    await hive.hivepost("send", "filter-cleo", "x");
    await hive.hivepost("send", "filter-bob", "x");
    await eventually("both were sent", () => eventsOf(tail.out()).filter((it) => it.event === "accepted").length === 2);
    assert.deepEqual([...new Set(eventsOf(tail.out()).map((it) => it.event))].sort(), ["accepted", "agent_registered"]);
  });

  it("refuses a cursor that is none, and words", async () => {
    const wrong = await runHivepost(["tail", "--after", "nonsense"], { environment: hive.environment });
    assert.equal(wrong.code, 1);
    assert.match(wrong.err, /^hivepost: invalid_cursor: .*\n$/);
    assert.equal((await hive.hivepost("tail", "bob")).code, 2);
  });
});

describe("hivepost backup and restore", () => {
  it("copy a hive at work, and put the copy in another place", async () => {
    await using folder = await temporaryFolder();
    const copy = path.join(folder.path, "copy.db");
    await hive.hivepost("register", "backup-bob");
    await hive.hivepost("send", "backup-bob", "in the backup");
    await hive.matches(["backup", copy], /^wrote .*copy\.db \(\d+ messages?, .*\); it has been checked\n$/);
    await hive.hivepost("send", "backup-bob", "after the backup");

    const place = path.join(folder.path, "restored");
    const restored = await runHivepost(["restore", copy, "--data-dir", place, "--json"]);
    assert.equal(restored.code, 0, restored.err);
    assert.equal(JSON.parse(restored.out).folder, place);
    await using server = await spawnServer(place);
    const environment = { HIVEPOST_URL: server.url, HIVEPOST_DATA_DIR: place };
    const found = await runHivepost(["search", "--to", "backup-bob"], { environment });
    assert.match(found.out, /\nin the backup\n<\/message /);
    assert.doesNotMatch(found.out, /after the backup/);
  });

  it("refuse what would lose something", async () => {
    await using folder = await temporaryFolder();
    const copy = path.join(folder.path, "copy.db");
    await hive.hivepost("backup", copy);
    const again = await hive.hivepost("backup", copy);
    assert.deepEqual([again.code, /exists already/.test(again.err)], [1, true]);
    const inUse = await hive.hivepost("restore", copy, "--force");
    assert.deepEqual([inUse.code, /data_dir_in_use/.test(inUse.err)], [1, true]);
    const place = ["--data-dir", path.join(folder.path, "place")];
    await hive.hivepost("restore", copy, ...place);
    const unforced = await hive.hivepost("restore", copy, ...place);
    assert.deepEqual([unforced.code, /--force/.test(unforced.err)], [1, true]);
    const forced = await hive.hivepost("restore", copy, ...place, "--force");
    assert.equal(forced.code, 0, forced.err);
    const [, aside = ""] = /what was there is in (.*)\n/.exec(forced.out) ?? [];
    assert.ok(existsSync(aside));
    await writeFile(path.join(folder.path, "other.db"), "no database");
    const nonsense = await hive.hivepost(
      "restore",
      path.join(folder.path, "other.db"),
      "--data-dir",
      path.join(folder.path, "x"),
    );
    assert.equal(nonsense.code, 1);
    for (const command of ["backup", "restore"]) assert.equal((await hive.hivepost(command)).code, 2);
  });
});

describe("hivepost mcp", () => {
  it("offers the operations as tools on standard input and output", async () => {
    await using mcp = spawnHivepost(["mcp"], { environment: hive.environment });
    const send = (message: object) => mcp.process.stdin?.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
    const answer = (id: number) =>
      eventually(`request ${id} is answered`, () =>
        mcp
          .out()
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line))
          .find((it) => it.id === id),
      );
    const clientInfo = { name: "test", version: "1" };
    send({ id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo } });
    assert.equal((await answer(1)).result.serverInfo.name, "hivepost");
    send({ method: "notifications/initialized" });
    send({ id: 2, method: "tools/list" });
    assert.ok((await answer(2)).result.tools.some((it: { name: string }) => it.name === "sendMessage"));
    send({ id: 3, method: "tools/call", params: { name: "registerAgent", arguments: { agent_id: "mcp-bob" } } });
    assert.equal((await answer(3)).result.structuredContent.agent_id, "mcp-bob");
    send({ id: 4, method: "tools/call", params: { name: "getAgent", arguments: { agent_id: "mcp-nobody" } } });
    const refused = (await answer(4)).result;
    assert.deepEqual([refused.isError, refused.structuredContent.error.code], [true, "agent_not_found"]);
    mcp.process.stdin?.end();
    assert.equal(await mcp.ended, 0);
  });

  it("tells the agent that the server is away", async () => {
    await using mcp = spawnHivepost(["mcp", "--url", "http://127.0.0.1:4"]);
    const clientInfo = { name: "test", version: "1" };
    for (const message of [
      { id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo } },
      { method: "notifications/initialized" },
      { id: 2, method: "tools/call", params: { name: "listAgents", arguments: {} } },
    ]) {
      mcp.process.stdin?.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
    }
    await eventually("the call is answered", () => mcp.out().includes('"unreachable"'));
    mcp.process.kill("SIGTERM");
    assert.equal(await mcp.ended, 0);
  });
});
