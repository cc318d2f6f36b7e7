import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { type Browser, chromium } from "playwright-core";
import { startHive, type TestHive, token } from "./test-hive.ts";

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const skip = existsSync(executablePath) ? false : `needs a browser at ${executablePath} (or CHROMIUM)`;

/** What a page finds out by a script: the status that it can read, or that it was told nothing. */
const fetching = (url: string, options: object) =>
  `fetch(${JSON.stringify(url)}, ${JSON.stringify(options)}).then((it) => it.type + " " + it.status, () => "nothing")`;
const opening = (url: string) =>
  `new Promise((resolve) => {
    const socket = new WebSocket(${JSON.stringify(url)}, ["hivepost.v1"]);
    socket.onopen = () => resolve("open");
    socket.onclose = () => resolve("closed");
  })`;
const ticketFrom = (url: string) =>
  `fetch(${JSON.stringify(`${url}/stream/ticket`)}, { method: "POST", headers: { authorization: "Bearer ${token}" } })
    .then(async (it) => (await it.json()).ticket)`;

describe("a real web page", { skip }, () => {
  let hive: TestHive;
  let elsewhere: Server;
  let other_port = 0;
  let browser: Browser;
  before(async () => {
    elsewhere = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html>"));
    await once(elsewhere.listen(0, "127.0.0.1"), "listening");
    other_port = (elsewhere.address() as AddressInfo).port;
    hive = await startHive({ config: { allowed_origins: `http://board.example:${other_port}` } });
    // Every name is this machine, as an attacker's name server would have it.
    const args = ["--no-sandbox", "--host-resolver-rules=MAP *.example 127.0.0.1"];
    browser = await chromium.launch({ executablePath, args });
  });
  after(async () => {
    await browser.close();
    elsewhere.closeAllConnections();
    elsewhere.close();
    await hive[Symbol.asyncDispose]();
  });

  const on = async (url: string, ...scripts: string[]): Promise<unknown[]> => {
    await using page = await browser.newPage();
    await page.goto(url);
    const results: unknown[] = [];
    for (const script of scripts) results.push(await page.evaluate(script));
    return results;
  };
  const ticket = async (): Promise<string> => (await hive.call("POST", "/stream/ticket")).body.ticket;
  const streamUrl = async (url: string) => `${url.replace("http", "ws")}/stream?ticket=${await ticket()}`;

  it("of another site reads nothing, sends nothing and opens no WebSocket, even with a token or ticket in hand", async () => {
    const headers = { authorization: `Bearer ${token}` };
    const sent = { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: "{}" };
    const simple = { method: "POST", mode: "no-cors", body: '{"to_agent":"bob","content":"forged"}' };
    const found = await on(
      `http://evil.example:${other_port}/`,
      fetching(`${hive.url}/health`, {}),
      fetching(`${hive.url}/agents`, { headers }),
      fetching(`${hive.url}/messages`, sent),
      fetching(`${hive.url}/messages`, simple),
      opening(await streamUrl(hive.url)),
    );
    assert.deepEqual(found.slice(0, 3), ["nothing", "nothing", "nothing"]);
    assert.ok(found[3] === "nothing" || found[3] === "opaque 0", String(found[3]));
    assert.equal(found[4], "closed");
    const { body } = await hive.call("GET", "/messages");
    assert.deepEqual(body.messages, []);
  });

  it("that has pointed its own name at this machine is refused under that name", async () => {
    const rebound = `http://evil.example:${hive.port}`;
    await using page = await browser.newPage();
    const answer = await page.goto(`${rebound}/docs`);
    assert.equal(answer?.status(), 403);
    assert.match((await answer?.text()) ?? "", /does not name this server/);
    // Of the same origin as far as the browser knows.
    assert.equal(await page.evaluate("location.origin"), rebound);
  });

  it("of the server itself is shown, and a link from another site leads there", async () => {
    await using page = await browser.newPage();
    await page.goto(`http://evil.example:${other_port}/`);
    await page.evaluate(`location.href = ${JSON.stringify(`${hive.url}/docs`)}`);
    await page.waitForURL(`${hive.url}/docs`);
    assert.match(await page.title(), /Hivepost/);
  });

  it("that the operator has named may call and open a WebSocket, and its neighbour may not", async () => {
    const welcome = `http://board.example:${other_port}/`;
    const headers = { authorization: `Bearer ${token}` };
    const found = await on(welcome, fetching(`${hive.url}/agents`, { headers }), ticketFrom(hive.url));
    assert.equal(found[0], "cors 200");
    const url = `${hive.url.replace("http", "ws")}/stream?ticket=${String(found[1])}`;
    assert.deepEqual(await on(welcome, opening(url)), ["open"]);
    assert.deepEqual(await on(welcome, opening(url)), ["closed"]);
    const neighbour = `http://ad.board.example:${other_port}/`;
    assert.deepEqual(await on(neighbour, fetching(`${hive.url}/agents`, { headers })), ["nothing"]);
  });
});
