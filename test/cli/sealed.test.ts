import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { run } from "./fake-terminal.ts";
import { openTestHive, type TestHive } from "./test-hive.ts";

const fingerprintPattern = /(?:[A-Z2-7]{4}-){7}[A-Z2-7]{4}/;

/** A command line on a machine of its own, with a folder of keys of its own. */
function machine(hive: TestHive, name: string, more: Readonly<Record<string, string>> = {}) {
  const environment = {
    ...hive.environment,
    ...more,
    HIVEPOST_KEYS_DIR: path.join(hive.dataDir, `keys-of-${name}`),
  };
  return (...argv: string[]) => run(argv, { environment: { ...environment, HIVEPOST_DATA_DIR: hive.dataDir } });
}

async function done(running: ReturnType<typeof run>): Promise<string> {
  const { code, out, err } = await running;
  assert.deepEqual([code, err], [0, ""]);
  return out;
}

async function fails(running: ReturnType<typeof run>, code: number, words: RegExp): Promise<void> {
  const ran = await running;
  assert.equal(ran.code, code, ran.err);
  assert.match(ran.err, words);
}

const fingerprintOf = (text: string) => fingerprintPattern.exec(text)?.[0] ?? assert.fail(text);

/** In front of a hive, a server that changes answers on their way. */
async function openLiar(hive: TestHive, lie: (answer: string) => string) {
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const { authorization = "", "content-type": type } = request.headers;
    const answer = await fetch(`${hive.url}${request.url}`, {
      method: request.method ?? "GET",
      headers: { authorization, ...(type && { "content-type": type }) },
      ...(body && { body }),
    });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(lie(await answer.text()));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    environment: { HIVEPOST_URL: `http://127.0.0.1:${port}` },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("a server that lies to the command line", () => {
  it("cannot have keys trusted, or shown, by the fingerprint of others", async () => {
    await using hive = await openTestHive();
    const [here, there, eves] = [machine(hive, "ada"), machine(hive, "bob"), machine(hive, "eve")];
    await done(there("agent-keys", "create", "bob"));
    await done(here("send", "bob", "one", "--from", "ada", "--seal"));
    const bobs = fingerprintOf(await done(there("agent-keys", "rotate", "bob")));
    const fake = fingerprintOf(await done(eves("agent-keys", "rotate", "bob")));
    assert.notEqual(fake, bobs);
    // What bob's own last registration said is the operator's to overwrite, and so is the fingerprint beside the keys.
    await using liar = await openLiar(hive, (answer) => answer.replaceAll(fake, bobs));
    const deceived = machine(hive, "ada", liar.environment);
    assert.equal(fingerprintOf(await done(deceived("agent-keys", "show", "bob"))), fake);
    await fails(deceived("agent-keys", "trust", "bob", bobs), 1, /not trusted: the registry shows/);
    await fails(deceived("send", "bob", "two", "--from", "ada", "--seal"), 1, /but the one trusted is/);
  });

  it("cannot have a plain message shown as opened", async () => {
    await using hive = await openTestHive();
    await done(machine(hive, "bob")("register", "bob"));
    await done(machine(hive, "ada")("send", "bob", "pay eve", "--from", "ada"));
    const claim = '"verified":{"fingerprint":"AAAA","sealed_at":"2026-01-05T09:00:00.000Z"},"content":"pay eve"';
    await using liar = await openLiar(hive, (answer) => answer.replaceAll('"content":"pay eve"', claim));
    const deceived = machine(hive, "bob", liar.environment);
    const found = await done(deceived("search", "--from", "ada"));
    const [id = ""] = /[0-9a-f-]{36}/.exec(found) ?? [];
    for (const shown of [found, await done(deceived("show", id)), await done(deceived("claim", "bob"))]) {
      assert.match(shown, /pay eve/);
      assert.doesNotMatch(shown, /sealed=|sealed_by=|AAAA/);
    }
    assert.match(await done(deceived("show", id, "--json")), /"verified"/, "the lie is there");
  });
});

describe("sealing on the command line", () => {
  it("sends what only the recipient's machine can read, and says so elsewhere", async () => {
    await using hive = await openTestHive();
    const [here, there, elsewhere] = [machine(hive, "ada"), machine(hive, "bob"), machine(hive, "eve")];
    const bobs = fingerprintOf(await done(there("agent-keys", "create", "bob")));
    assert.match(await done(here("agent-keys", "show", "bob")), new RegExp(`^bob {2}${bobs} {2}made`));
    const sent = await done(here("send", "bob", "xyzzy", "opens", "--from", "ada", "--seal"));
    const adas = fingerprintOf(await done(here("agent-keys", "show", "ada")));
    const [id = ""] = /[0-9a-f-]{36}/.exec(sent) ?? [];

    const [atHome, here2, away] = [
      await done(there("show", id)),
      await done(here("search", "--from", "ada")),
      await done(elsewhere("show", id)),
    ];
    for (const it of [atHome, here2]) {
      assert.match(it, /xyzzy opens/);
      assert.match(it, new RegExp(`sealed=opened sealed_by=${adas} `));
    }
    assert.match(away, /this machine has the keys of no agent that could/);
    assert.ok(!away.includes("xyzzy"));
    assert.match(await done(there("claim", "bob")), /xyzzy opens/);
    assert.ok(!(await done(there("show", id, "--json"))).includes("xyzzy"), "exactly the API's answer");
  });

  it("shows a dead letter opened, and a seal that does not hold with the reason", async () => {
    await using hive = await openTestHive();
    const [here, there] = [machine(hive, "ada"), machine(hive, "bob")];
    await done(there("agent-keys", "create", "bob"));
    await done(here("send", "bob", "xyzzy", "--from", "ada", "--seal"));
    const { messages } = JSON.parse(await done(here("search", "--from", "ada", "--json")));
    const forged = JSON.stringify({ ...messages[0].sealed, tag: "A".repeat(22) });
    const envelope = ["--from", "ada", "--to-agent", "bob", "--sealed", forged];
    await done(here("send", ...envelope, "--id", "0198c0de-0000-7000-8000-000000000001"));
    assert.match(await done(there("claim", "bob", "--limit", "2")), /the seal of message .* does not hold/);
    await done(here("remove", "bob"));
    const dead = await done(there("dead"));
    assert.match(dead, /xyzzy/);
    assert.match(dead, /sealed=unopened:/);
  });

  it("does not seal for changed keys until they are trusted by their fingerprint", async () => {
    await using hive = await openTestHive();
    const [here, there] = [machine(hive, "ada"), machine(hive, "bob")];
    await done(there("agent-keys", "create", "bob"));
    await done(here("send", "bob", "one", "--from", "ada", "--seal"));
    const fresh = fingerprintOf(await done(there("agent-keys", "rotate", "bob")));
    await fails(here("send", "bob", "two", "--from", "ada", "--seal"), 1, /publishes the key .*but the one trusted is/);
    await fails(
      here("agent-keys", "trust", "bob", fresh.replace(/^..../, "AAAA")),
      1,
      /not trusted: the registry shows/,
    );
    assert.equal(await done(here("agent-keys", "trust", "bob", fresh)), `bob  ${fresh}\n`);
    await done(here("send", "bob", "two", "--from", "ada", "--seal"));
    const claimed = await done(there("claim", "bob", "--limit", "2"));
    assert.match(claimed, /one/);
    assert.match(claimed, /two/);
  });

  it("says what is missing", async () => {
    await using hive = await openTestHive();
    const here = machine(hive, "ada");
    await done(here("register", "bob"));
    await fails(here("send", "bob", "x", "--seal"), 2, /--seal needs --from/);
    await fails(here("send", "bob", "x", "--seal", "--from", "ada"), 1, /hivepost agent-keys create bob/);
    await fails(here("agent-keys", "create"), 2, /name the agent/);
    await fails(here("agent-keys", "trust", "bob"), 2, /fingerprint/);
    await fails(here("agent-keys"), 2, /agent-keys show/);
    const made = JSON.parse(await done(here("agent-keys", "create", "bob", "--json")));
    assert.equal(made.agent_id, "bob");
  });

  it("opens a conversation under its own key", async () => {
    await using hive = await openTestHive();
    const [here, there] = [machine(hive, "ada"), machine(hive, "bob")];
    await done(there("agent-keys", "create", "bob"));
    await done(here("agent-keys", "create", "ada"));
    const { id } = JSON.parse(await done(here("open", "ada", "bob", "--sealed", "--json")));
    await done(here("send", "bob", "xyzzy", "--from", "ada", "--conversation", id, "--seal"));
    const claimed = await done(there("claim", "bob", "--limit", "5"));
    assert.match(claimed, /\(the key of the conversation/);
    assert.match(claimed, /xyzzy/);
    assert.match(await done(there("conversation", id)), /sealed/);
  });
});
