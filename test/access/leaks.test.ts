import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { connect } from "../../src/client/client.ts";
import type { Scope } from "../../src/contract/operation.ts";
import { runHivepost } from "../cli/spawned.ts";
import { tell } from "../faults/rest.ts";
import { eventually } from "../support/eventually.ts";
import { ada, bob, temporaryFolder } from "../support/fixtures.ts";
import { type HiveProcess, startHive } from "../support/hive-process.ts";

/** A word that occurs nowhere else. */
const secret = "zorblaxquux";
const content = `the ${secret} is under the mat`;
const metadata = { place: { name: secret } };

type Place = { readonly data_dir: string; readonly key_file: string; readonly environment: Record<string, string> };

function placeIn(folder: string): Place {
  const [data_dir, key_file] = [path.join(folder, "hive"), path.join(folder, "keys", "hive.key")];
  const environment = { HIVEPOST_MASTER_KEY_FILE: key_file, HIVEPOST_LOG_LEVEL: "trace" };
  return { data_dir, key_file, environment };
}

async function tokenFor(hive: HiveProcess, scopes: Exclude<Scope, "open">[], agent_id?: typeof ada): Promise<string> {
  return (await tell(hive, "createToken", { scopes, ...(agent_id && { agent_id }) })).token;
}

/** Sends, reads, searches and rejects over each way in, and makes each of them fail. */
async function useEverything(hive: HiveProcess, tokens: { readonly ada: string; readonly bob: string }): Promise<void> {
  const [adas, bobs] = [
    { url: hive.url, token: tokens.ada },
    { url: hive.url, token: tokens.bob },
  ];
  await using client = connect(hive.url, { token: tokens.ada });
  for (const [send, how] of [
    [() => tell(adas, "sendMessage", { to_agent: bob, content, metadata }), "REST"],
    [() => client.sendMessage({ to_agent: bob, content, metadata }), "WebSocket"],
  ] as const) {
    assert.equal((await send()).content, content, how);
  }
  const found = async () => (await tell(bobs, "searchMessages", { q: secret })).messages.length === 2;
  await eventually("it is found", found);
  const { deliveries } = await tell(bobs, "claimMessages", { agent_id: bob, limit: 2 });
  for (const { message, lease_id } of deliveries)
    await tell(bobs, "rejectMessage", { message_id: message.id, lease_id });
  const post = (body: string, token = tokens.ada) =>
    fetch(`${hive.url}/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body,
    });
  const refused = [
    await post(`{"to_agent":"bob","content":"${content}"`),
    await post(`{"to_agent":"bob","content":"${content}","${secret}":1}`),
    await post(`{"to_agent":"nobody","content":"${content}"}`),
    await post(JSON.stringify({ to_agent: bob, content: content.repeat(50_000) })),
    await post(JSON.stringify({ to_agent: bob, content }), `${tokens.ada.slice(0, -1)}_`),
  ];
  assert.deepEqual(
    refused.map((it) => it.status),
    [400, 400, 404, 413, 401],
  );
  await callOverMcp(hive, tokens.ada);
}

async function callOverMcp({ url }: HiveProcess, token: string): Promise<void> {
  const mcp = new Client({ name: "test", version: "1" });
  const headers = { authorization: `Bearer ${token}` };
  await mcp.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } }));
  await mcp.callTool({ name: "sendMessage", arguments: { to_agent: bob, content, metadata } });
  await mcp.callTool({ name: "sendMessage", arguments: { to_agent: "nobody", content } });
  await mcp.close();
}

/** What others than sender and recipient are shown: an observer's gauges, an admin's audit log and keys, everybody's health. */
async function shownElsewhere(hive: HiveProcess): Promise<string> {
  const headers = { authorization: `Bearer ${hive.token}` };
  const metrics = await (await fetch(`${hive.url}/metrics`, { headers })).text();
  const answers = [await tell(hive, "health", {}), await tell(hive, "readAudit", {}), await tell(hive, "getKeys", {})];
  return metrics + JSON.stringify(answers);
}

describe("what is secret", () => {
  it("is in no log, metric, audit entry, file, backup or index, whatever is done and whatever goes wrong", async () => {
    await using folder = await temporaryFolder();
    const { data_dir, key_file, environment } = placeIn(folder.path);
    const texts: string[] = [];
    const secrets = new Map([["content", secret]]);
    const hivepost = async (...argv: string[]) => {
      const { code, out, err } = await runHivepost([...argv, "--data-dir", data_dir], { environment });
      assert.equal(code, 0, err);
      texts.push(out, err);
    };
    {
      await using hive = await startHive(data_dir, { environment });
      for (const agent_id of [ada, bob]) await tell(hive, "registerAgent", { agent_id });
      const tokens = { ada: await tokenFor(hive, ["agent"], ada), bob: await tokenFor(hive, ["agent"], bob) };
      for (const [name, token] of Object.entries({ ...tokens, admin: hive.token })) {
        secrets.set(`${name}'s token`, token.split("_")[3] ?? "");
      }
      secrets.set("the first master key", readFileSync(key_file, "utf8").trim());
      await useEverything(hive, tokens);
      await hivepost("doctor", "--url", hive.url);
      await hivepost("backup", path.join(folder.path, "monday.db"));
      await tell(hive, "rotateKeys", {});
      await tell(hive, "reencryptMessages", {});
      await tell(hive, "rewrapKeys", {});
      secrets.set("the second master key", readFileSync(key_file, "utf8").trim());
      texts.push(await shownElsewhere(hive));
      await hive.end("SIGKILL");
      texts.push(hive.errors());
    }
    await hivepost("restore", path.join(folder.path, "monday.db"), "--force");
    rmSync(path.join(data_dir, "index.db"), { force: true });
    {
      await using hive = await startHive(data_dir, { environment });
      const indexed = async () => (await shownElsewhere(hive)).includes("hivepost_index_lag_messages 0\n");
      await eventually("it is indexed anew", indexed);
      assert.equal((await tell(hive, "searchMessages", { q: secret })).messages.length, 3);
      texts.push(await shownElsewhere(hive), hive.errors());
    }
    for (const [name, value] of secrets) {
      assert.ok(value.length >= secret.length, name);
      assert.deepEqual(
        texts.filter((it) => it.includes(value)),
        [],
        `${name} is shown`,
      );
    }
    assert.deepEqual(filesOpenToOthers(folder.path), []);
    const lying = filesWith(folder.path, secrets);
    assert.deepEqual(lying.sort(), [
      "admin's token in admin.token",
      `the first master key in ${retired(key_file)}`,
      "the second master key in hive.key",
    ]);
  });
});

/** Name of the file in which a replaced master key is kept. */
function retired(key_file: string): string {
  return readdirSync(path.dirname(key_file)).find((it) => it.includes(".master-")) ?? "";
}

function filesOpenToOthers(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((it) => it.isFile());
  return files
    .map(({ name, parentPath }) => path.join(parentPath, name))
    .filter((file) => (statSync(file).mode & 0o077) !== 0);
}

function filesWith(folder: string, secrets: ReadonlyMap<string, string>): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((it) => it.isFile());
  return files.flatMap(({ name, parentPath }) => {
    const bytes = readFileSync(path.join(parentPath, name));
    return [...secrets].filter(([, value]) => bytes.includes(value)).map(([what]) => `${what} in ${name}`);
  });
}
