import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { parseArguments } from "../../src/cli/arguments.ts";
import { findServer, serverFlags } from "../../src/cli/call.ts";
import { main } from "../../src/cli/main.ts";
import { assignAgents } from "../../src/cli/replay/names.ts";
import { setStage } from "../../src/cli/replay/stage.ts";
import type { Survey } from "../../src/cli/replay/survey.ts";
import type { Client } from "../../src/client/client.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { fakeTerminal, run } from "./fake-terminal.ts";
import { openTestHive, type TestHive } from "./test-hive.ts";

let hive: TestHive;

before(async () => {
  hive = await openTestHive();
});

after(() => hive[Symbol.asyncDispose]());

/** What a command says where another program answers in the place of a server. */
async function against(listener: RequestListener) {
  const other = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const ran = await run(["agents", "--url", `http://127.0.0.1:${port}`], { environment: { HIVEPOST_TOKEN: "t" } });
  other.closeAllConnections();
  other.close();
  return { code: ran.code, err: ran.err.replace(String(port), "PORT") };
}

/** The address that commands use in this environment. */
async function urlIn(environment: Readonly<Record<string, string>>): Promise<string> {
  const given = parseArguments([], serverFlags);
  return (await findServer(given, fakeTerminal({ environment: { HIVEPOST_TOKEN: "t", ...environment } }))).url;
}

describe("the address of the server", () => {
  it("is where a server with these settings listens", async () => {
    assert.equal(await urlIn({}), "http://127.0.0.1:4483");
    assert.equal(await urlIn({ HIVEPOST_PORT: "5000" }), "http://127.0.0.1:5000");
    assert.equal(await urlIn({ HIVEPOST_HOST: "0.0.0.0" }), "http://127.0.0.1:4483");
    assert.equal(await urlIn({ HIVEPOST_HOST: "::1" }), "http://[::1]:4483");
    assert.equal(await urlIn({ HIVEPOST_URL: "http://hive:1//" }), "http://hive:1");
  });
});

describe("a config file in the folder where somebody works", () => {
  const hosts = ["evil.example", "192.0.2.7", "2001:db8::7", "127.0.0.1.evil.example", "localhost.evil.example"];

  /** Runs in a folder that has this file. */
  async function inFolderWith<T>(file: object, act: () => Promise<T>): Promise<T> {
    await using folder = await temporaryFolder();
    await writeFile(path.join(folder.path, "hivepost.config.json"), JSON.stringify(file));
    const before = process.cwd();
    process.chdir(folder.path);
    try {
      return await act();
    } finally {
      process.chdir(before);
    }
  }

  it("cannot have a token sent to another machine, unless the file or the machine is named", async () => {
    for (const host of hosts) {
      await inFolderWith({ host }, async () => {
        await assert.rejects(urlIn({}), { name: "UsageError", message: /which is another machine; if you trust it/ });
        const { code, err } = await run(["agents"], { environment: { HIVEPOST_TOKEN: "t" } });
        assert.deepEqual([code, err.includes("another machine")], [2, true]);
        const trusted = host.includes(":") ? `http://[${host}]:4483` : `http://${host}:4483`;
        assert.equal(await urlIn({ HIVEPOST_CONFIG: "hivepost.config.json" }), trusted);
        assert.equal(await urlIn({ HIVEPOST_HOST: host }), trusted);
        assert.equal(await urlIn({ HIVEPOST_URL: "http://hive:1" }), "http://hive:1");
      });
    }
  });

  it("says where a server on this machine listens", async () => {
    for (const [host, url] of [
      ["127.0.0.2", "http://127.0.0.2:5001"],
      ["localhost", "http://localhost:5001"],
      ["::1", "http://[::1]:5001"],
      ["::", "http://127.0.0.1:5001"],
    ]) {
      assert.equal(await inFolderWith({ host, port: 5001 }, () => urlIn({})), url);
    }
  });
});

describe("a program that is no Hivepost server", () => {
  it("is not taken for one", async () => {
    const page = await against((_, response) => response.end("<html>"));
    assert.deepEqual(page, {
      code: 3,
      err: "hivepost: what answers at http://127.0.0.1:PORT is no Hivepost server (status 200, no JSON)\n",
    });
    const json = await against((_, response) => response.writeHead(404).end('{"error": "no"}'));
    assert.deepEqual(json, { code: 3, err: "hivepost: what answers at http://127.0.0.1:PORT is no Hivepost server\n" });
    const nothing = await against((_, response) => response.writeHead(500).end("null"));
    assert.equal(nothing.code, 3);
  });

  it("is away when it hangs up in the middle of its answer", async () => {
    const { code, err } = await against((_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("{");
      setImmediate(() => response.destroy());
    });
    assert.equal(code, 3);
    assert.match(err, /^hivepost: no server answers at http:\/\/127\.0\.0\.1:PORT \(.*\); start one with/);
  });

  it("cannot be asked at a port that web clients keep off", async () => {
    const { code, err } = await run(["agents", "--url", "http://127.0.0.1:6000"], {
      environment: { HIVEPOST_TOKEN: "t" },
    });
    assert.deepEqual([code, /web clients refuse to connect to this port/.test(err)], [3, true]);
  });
});

describe("a command that waits", () => {
  it("ends when it is told to stop", async () => {
    await hive.hivepost("register", "wait-bob");
    const terminal = fakeTerminal({ environment: hive.environment });
    const claimed = main(["claim", "wait-bob", "--wait", "60s"], terminal);
    await eventually("it waits", async () => {
      const { out } = await hive.hivepost("agent", "wait-bob");
      return out.includes("alive");
    });
    process.emit("SIGTERM", "SIGTERM");
    assert.equal(await claimed, 1);
    assert.equal(terminal.err(), "hivepost: stopped before the server answered\n");
  });
});

describe("an agent called like a message", () => {
  it("is explained as the agent that it is", async () => {
    const name = "0198c0de-0000-7000-8000-00000000000a";
    await hive.hivepost("register", name);
    await hive.matches(["why", name], new RegExp(`^inbox of ${name}: 0 waiting\\.\n`));
  });
});

describe("a tail of one thing", () => {
  it("shows the events of a message, a conversation or an agent alone", async () => {
    for (const name of ["one-ada", "one-bob", "one-cleo"]) await hive.hivepost("register", name);
    const first = await hive.json("send", "one-bob", "x", "--from", "one-ada");
    const tails = [
      ["--message", String(first["id"])],
      ["--conversation", String(first["conversation_id"])],
      ["--agent", "one-bob"],
    ].map((flags) => {
      const terminal = fakeTerminal({ environment: hive.environment });
      // From the beginning: a cursor is the place of an event, and this one is that of the first.
      const start = Buffer.from('["event",0]').toString("base64url");
      return { terminal, ended: main(["tail", "--after", start, "--json", ...flags], terminal) };
    });
    await hive.hivepost("send", "one-cleo", "y");
    const events = (out: string): string[] =>
      out
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).event);
    const [message, conversation, agent] = tails.map(
      ({ terminal }) =>
        () =>
          events(terminal.out()),
    );
    await eventually("the message is shown", () => message?.().includes("accepted"));
    await eventually("the conversation is shown", () => conversation?.().includes("accepted"));
    await eventually("the agent is shown", () => agent?.().includes("accepted"));
    process.emit("SIGINT", "SIGINT");
    assert.deepEqual(await Promise.all(tails.map((it) => it.ended)), [0, 0, 0]);
    assert.deepEqual(message?.(), ["accepted"]);
    assert.deepEqual(conversation?.().sort(), ["accepted", "conversation_opened"]);
    assert.deepEqual(agent?.().sort(), ["accepted", "agent_registered"]);
  });
});

describe("the stage of a replay", () => {
  it("opens no conversation with more participants than the bus admits", async () => {
    const names = assignAgents({ prefix: "" });
    const crowd = new Set(Array.from({ length: 1_001 }, (_, i) => names.agentOf(`agent-${i}`)));
    const conversations = new Map<string, ReadonlySet<AgentId>>([
      ["crowd", crowd],
      ["pair", new Set([...crowd].slice(0, 2))],
    ]);
    const client = {
      listAgents: async () => ({ agents: [] }),
      registerAgent: async () => ({}),
      createConversation: async () => ({ id: "c" }),
    } as unknown as Client;
    const opened = await setStage(client, { names, conversations } as Partial<Survey> as Survey, () => undefined);
    assert.deepEqual([...opened], [["pair", "c"]]);
  });

  it("names every agent that is not its own", async () => {
    const names = assignAgents({ prefix: "", agents: 2 });
    for (const name of ["a", "b"]) names.agentOf(name);
    const agents = [...names.agents].map((agent_id) => ({ agent_id, aliases: [], program: "codex" }));
    const client = { listAgents: async () => ({ agents }) } as unknown as Client;
    await assert.rejects(
      setStage(client, { names, conversations: new Map() } as Partial<Survey> as Survey, () => undefined),
      /replay-1, replay-2 are agents of this hive already/,
    );
  });
});
