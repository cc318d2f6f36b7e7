import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { WebSocket } from "ws";
import { streamProtocol } from "../../src/contract/stream.ts";
import { openTestHive, type TestHive } from "../cli/test-hive.ts";

describe("a token that is revoked", () => {
  it("cuts off what is connected with it within a second, and opens nothing more", async () => {
    await using hive = await openTestHive();
    await hive.hivepost("register", "bob");
    const { token, key_id } = await issue(hive, "bob");
    const [stream, waiting] = [await connect(hive, token), claim(hive, token)];
    const ticket = await ticketOf(hive, token);
    const closed = once(stream, "close");
    const revoked_at = performance.now();
    await hive.matches(["token", "revoke", key_id], new RegExp(`^revoked ${key_id} `));
    const [code, reason] = await closed;
    assert.ok(performance.now() - revoked_at < 1_000);
    assert.deepEqual([code, String(reason)], [1008, "the token was revoked, or has expired"]);
    assert.deepEqual(await (await waiting).json(), { deliveries: [] });
    assert.equal((await get(hive, token, "/agents")).status, 401);
    await assert.rejects(open(hive, {}, `?ticket=${ticket}`), /401/);
    await assert.rejects(connect(hive, token), /401/);
  });

  it("gives back what was being worked on with it", async () => {
    await using hive = await openTestHive();
    await hive.hivepost("register", "bob");
    const { token, key_id } = await issue(hive, "bob");
    const stream = await connect(hive, token);
    const pushed = once(stream, "message");
    stream.send(JSON.stringify({ id: 1, op: "subscribe", input: { agent_id: "bob", credit: 1 } }));
    await pushed;
    const delivered = once(stream, "message");
    await hive.hivepost("send", "bob", "hello");
    await delivered;
    await hive.hivepost("token", "revoke", key_id);
    const claimed: { deliveries?: readonly object[] } = await hive.json("claim", "bob", "--wait", "5s");
    assert.equal(claimed.deliveries?.length, 1);
  });

  it("does nothing to the agent's other one", async () => {
    await using hive = await openTestHive();
    await hive.hivepost("register", "bob");
    const [first, second] = [await issue(hive, "bob"), await issue(hive, "bob")];
    const stream = await connect(hive, second.token);
    await hive.hivepost("token", "revoke", first.key_id);
    assert.equal((await get(hive, second.token, "/agents")).status, 200);
    assert.equal(stream.readyState, WebSocket.OPEN);
    stream.terminate();
  });
});

describe("tokens on the command line", () => {
  it("are made for an agent or a scope, listed with their last use, and revoked", async () => {
    await using hive = await openTestHive();
    const { token } = await issue(hive, "bob");
    assert.equal((await get(hive, token, "/agents")).status, 200);
    await hive.matches(["token", "create", "--scope", "observe", "--expires", "30d"], /^hvp_observe_\w+\n.*until 2/);
    await hive.matches(["token", "list", "bob"], /^\w{11} {2}agent \(bob\); made \S+ by operator; last used \S+\n$/);
    await hive.matches(["tokens", "nobody"], /^no such token; make one with: /);
    const unclear = await hive.hivepost("token", "create");
    assert.deepEqual([unclear.code, unclear.out], [2, ""]);
    assert.match(unclear.err, /say whose token it is to be/);
    assert.match((await hive.hivepost("token")).err, /say which: token create, token list, token revoke/);
    assert.match((await hive.hivepost("token", "revoke", "00000000000")).err, /there is no token 00000000000/);
  });
});

async function issue(hive: TestHive, agent: string): Promise<{ token: string; key_id: string }> {
  const { token = "", key_id = "" }: Record<string, string> = await hive.json("token", "create", agent);
  return { token, key_id };
}

function get(hive: TestHive, token: string, path: string): Promise<Response> {
  return fetch(hive.url + path, { headers: { authorization: `Bearer ${token}` } });
}

function claim(hive: TestHive, token: string): Promise<Response> {
  return fetch(`${hive.url}/agents/bob/inbox/claim`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ wait_ms: 60_000 }),
  });
}

async function ticketOf(hive: TestHive, token: string): Promise<string> {
  const answer = await fetch(`${hive.url}/stream/ticket`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
  });
  return ((await answer.json()) as { ticket: string }).ticket;
}

function connect(hive: TestHive, token: string): Promise<WebSocket> {
  return open(hive, { authorization: `Bearer ${token}` });
}

async function open(hive: TestHive, headers: Record<string, string>, query = ""): Promise<WebSocket> {
  const url = `${hive.url.replace("http", "ws")}/stream${query}`;
  const socket = new WebSocket(url, streamProtocol, { headers });
  await once(socket, "open");
  return socket;
}
