import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { connect } from "../../src/client/client.ts";
import { findServer } from "../../src/client/settings-node.ts";
import { AgentMessageQueue } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { failsWith } from "./fails-with.ts";
import { startHive, token } from "./hive.ts";
import { startWire } from "./wire.ts";

describe("AgentMessageQueue", () => {
  it("sends, receives, acknowledges and remembers", async () => {
    await using hive = await startHive();
    await using queue = new AgentMessageQueue({ url: hive.url, token });
    assert.deepEqual(await queue.receiveMessages("bob", 0), []);

    const first = await queue.sendMessage("ada", "bob", "please review");
    const urgent = await queue.sendMessage("ada", "bob", "stop!", "urgent");
    const received = await queue.receiveMessages("bob");

    assert.equal(first.priority, "normal");
    assert.deepEqual(received, [urgent, first]);
    assert.equal(await queue.acknowledgeMessage(first.id), true);
    assert.equal(await queue.acknowledgeMessage(urgent.id), true);
    assert.equal(await queue.acknowledgeMessage(urgent.id), true, "saying it twice says the same");
    assert.deepEqual(
      (await queue.getConversationHistory("bob", "ada")).map((it) => [it.content, it.acknowledged]),
      [
        ["please review", true],
        ["stop!", true],
      ],
    );
  });

  it("waits for a message, and no longer than it is told", async () => {
    await using hive = await startHive();
    await using queue = new AgentMessageQueue({ url: hive.url, token });
    const started_ms = performance.now();
    assert.deepEqual(await queue.receiveMessages("bob", 0.2), []);
    assert.ok(performance.now() - started_ms >= 190);

    const receiving = queue.receiveMessages("bob", 20);
    await queue.sendMessage("ada", "bob", "there");

    assert.equal((await receiving)[0]?.content, "there");
  });

  it("does not accept a message for somebody nobody has heard of", async () => {
    await using hive = await startHive();
    await using queue = new AgentMessageQueue({ url: hive.url, token });

    await assert.rejects(queue.sendMessage("ada", "nobody", "hello"), failsWith("agent_not_found", /nobody/));
  });

  it("does not acknowledge what it has not received", async () => {
    await using hive = await startHive();
    await using queue = new AgentMessageQueue({ url: hive.url, token });

    await assert.rejects(queue.acknowledgeMessage("m-1"), failsWith("invalid_input", /m-1 is not held here/));
  });

  it("keeps what was received from others until it is acknowledged", async () => {
    await using hive = await startHive();
    await using queue = new AgentMessageQueue({ url: hive.url, token });
    await using other = new AgentMessageQueue({ url: hive.url, token });
    await queue.receiveMessages("bob", 0);
    const { id } = await queue.sendMessage("ada", "bob", "mine");
    assert.equal((await queue.receiveMessages("bob")).length, 1);

    assert.deepEqual(await other.receiveMessages("bob", 0.1), []);
    assert.equal(await queue.acknowledgeMessage(id), true);
  });

  it("gives back what was not acknowledged when it is closed", async () => {
    await using hive = await startHive();
    const queue = new AgentMessageQueue({ url: hive.url, token });
    await queue.receiveMessages("bob", 0);
    await queue.sendMessage("ada", "bob", "mine");
    await queue.receiveMessages("bob");

    await queue[Symbol.asyncDispose]();

    await using other = new AgentMessageQueue({ url: hive.url, token });
    assert.equal((await other.receiveMessages("bob", 5)).length, 1);
  });

  it("does not hold a message for ever", async () => {
    await using hive = await startHive();
    await using queue = new AgentMessageQueue({ url: hive.url, token, hold_ms: 20, limit: 1 });
    await queue.receiveMessages("bob", 0);
    const { id } = await queue.sendMessage("ada", "bob", "mine");
    await queue.receiveMessages("bob");

    await new Promise((resolve) => setTimeout(resolve, 50));

    await assert.rejects(queue.acknowledgeMessage(id), failsWith("invalid_input", /not acknowledged in time/));
  });

  it("hands nothing out twice over a lost connection, and knows what was acknowledged too late", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    await using outside = connect(hive.url, { token });
    await using queue = new AgentMessageQueue({ url: wire.url, token });
    await queue.receiveMessages("bob", 0);
    const early = await outside.sendMessage({ from_agent: "ada", to_agent: "bob", content: "early" });
    const late = await outside.sendMessage({ from_agent: "ada", to_agent: "bob", content: "late" });
    assert.equal((await queue.receiveMessages("bob")).length, 2);

    wire.cut();
    await eventually("the leases were given back", async () => {
      const { depth } = await outside.getInbox({ agent_id: "bob" });
      return depth.normal.ready === 2;
    });
    assert.equal(await queue.acknowledgeMessage(early.id), false, "its lease was given back");
    assert.deepEqual(await queue.receiveMessages("bob", 0.5), [], "both were received before");

    assert.equal(await queue.acknowledgeMessage(late.id), true, "it was leased anew");
    await eventually("both are acknowledged", async () => (await outside.getInbox({ agent_id: "bob" })).total === 0);
  });

  it("has the whole history of two agents, however long, and of nobody else", async () => {
    await using hive = await startHive();
    await using queue = new AgentMessageQueue({ url: hive.url, token });
    await using client = connect(hive.url, { token });
    for (const agent of ["ada", "bob", "cleo"]) await queue.receiveMessages(agent, 0);
    const count = 1_100;
    await client.importMessages({
      messages: Array.from({ length: 1_000 }, (_, n) => imported(n)),
    });
    await client.importMessages({ messages: Array.from({ length: count - 1_000 }, (_, n) => imported(n + 1_000)) });
    await queue.sendMessage("cleo", "bob", "not for ada");

    const history = await queue.getConversationHistory("ada", "bob");

    assert.deepEqual(
      history.map((it) => it.content),
      Array.from({ length: count }, (_, n) => String(n)),
    );
  });
});

function imported(n: number) {
  const [from_agent, to_agent] = n % 2 ? ["ada", "bob"] : ["bob", "ada"];
  const timestamp = new Date(Date.UTC(2025, 0, 1) + n * 1_000).toISOString();
  return { from_agent: String(from_agent), to_agent: String(to_agent), content: String(n), timestamp };
}

describe("where the server is and what to show it", () => {
  it("is what was given, else what the environment says, else the default", () => {
    assert.deepEqual(findServer({ url: "http://a", token: "t" }, { HIVEPOST_URL: "http://b" }), {
      url: "http://a",
      token: "t",
    });
    assert.deepEqual(findServer({}, { HIVEPOST_URL: "http://b", HIVEPOST_TOKEN: " t\n" }), {
      url: "http://b",
      token: "t",
    });
    assert.equal(findServer({ token: "t" }, {}).url, "http://127.0.0.1:4483");
  });

  it("is read from the token's file, or from the hive's folder", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "token");
    await writeFile(file, "from a file\n");
    await mkdir(path.join(folder.path, "hive"));
    await writeFile(path.join(folder.path, "hive", "admin.token"), "the first\n");

    assert.equal(findServer({}, { HIVEPOST_TOKEN_FILE: file }).token, "from a file");
    assert.equal(findServer({}, { HIVEPOST_DATA_DIR: path.join(folder.path, "hive") }).token, "the first");
    assert.throws(
      () => findServer({}, { HIVEPOST_DATA_DIR: folder.path }),
      failsWith("unauthenticated", /admin\.token; set HIVEPOST_TOKEN/),
    );
  });
});
