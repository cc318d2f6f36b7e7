import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { temporaryFolder } from "../support/fixtures.ts";
import { run } from "./fake-terminal.ts";
import { openTestHive, type TestHive } from "./test-hive.ts";

let hive: TestHive;

before(async () => {
  hive = await openTestHive();
});

after(() => hive[Symbol.asyncDispose]());

describe("the way of a message, typed", () => {
  it("goes from registering to acknowledging", async () => {
    await hive.matches(["register", "way-ada"], /^registered way-ada: alive, available\n/);
    await hive.matches(
      ["register", "way-bob", "--can", "review:7", "--group", "reviewers"],
      /can +review:7\n +groups +reviewers/,
    );
    const sent = await hive.json("send", "way-bob", "Please review", "--from", "way-ada", "--priority", "high");
    const id = String(sent["id"]);
    await hive.matches(
      ["inbox", "way-bob"],
      /1 message of at most 10000 waiting[\s\S]*high +1 +0 +0 +0\n[\s\S]*ready to be claimed/,
    );
    await hive.matches(
      ["why", id],
      /operator sent it; .*\n[\s\S]*Now: it waits for way-bob[\s\S]*In the inbox of way-bob: 1 waiting/,
    );
    const claimed = await hive.hivepost("claim", "way-bob");
    const [, ack = ""] = /done\? (?:npx )?hivepost (ack \S+ \S+)/.exec(claimed.out) ?? [];
    assert.match(
      claimed.out,
      /\n<message ([0-9a-f]{16}) id=\S+ from=way-ada trust=operator token=admin actor=operator to=way-bob .*>\nPlease review\n<\/message \1>\n {2}done/,
    );
    assert.deepEqual(await hive.hivepost(...ack.split(" ")), { code: 0, out: "acknowledged\n", err: "" });
    await hive.matches(
      ["why", id],
      /operator received it under a lease[\s\S]*acknowledged it: done\.\nNow: way-bob has acknowledged it/,
    );
    await hive.matches(
      ["show", id],
      /\nacknowledged for way-bob, attempts 1\n<\/deliveries [\s\S]*\n<ledger .*>\n\S+ {2}accepted {7}by operator for way-bob\n/,
    );
    await hive.matches(
      ["search", "review", "--participant", "way-ada"],
      / from=way-ada .* to=way-bob .* priority=high type=task acknowledged=true /,
    );
    await hive.matches(["claim", "way-bob"], /^nothing to claim now/);
  });

  it("prints exactly the API's answer with --json", async () => {
    await hive.hivepost("register", "json-bob");
    const sent = await hive.json("send", "json-bob", "x", "--metadata", '{"a":1}');
    const headers = { authorization: `Bearer ${hive.token}` };
    const shown = await hive.json("show", String(sent["id"]));
    assert.deepEqual(shown, await (await fetch(`${hive.url}/messages/${sent["id"]}`, { headers })).json());
  });

  it("gives back, keeps for longer, and notes evidence", async () => {
    await hive.hivepost("register", "lease-bob");
    await hive.hivepost("send", "lease-bob", "x");
    const { deliveries } = (await hive.json("claim", "lease-bob")) as unknown as {
      deliveries: { message: { id: string }; lease_id: string }[];
    };
    const [{ message, lease_id } = { message: { id: "" }, lease_id: "" }] = deliveries;
    await hive.matches(["extend", message.id, lease_id, "5m"], /^leased for lease-bob, 1 attempt, leased until /);
    await hive.matches(["evidence", message.id, lease_id, "seen"], /^leased for lease-bob/);
    await hive.matches(
      ["reject", message.id, lease_id, "no access", "--delay", "0"],
      /^ready for lease-bob|^scheduled for lease-bob/,
    );
    const late = await hive.hivepost("ack", message.id, lease_id);
    assert.deepEqual([late.code, late.err], [1, ""]);
    assert.match(late.out, /not acknowledged: the lease had ended/);
    const lateReject = await hive.hivepost("reject", message.id, lease_id);
    assert.equal(lateReject.code, 1);
    assert.match(lateReject.out, /nothing was changed: the lease had ended/);
  });

  it("shows what others wrote without obeying it", async () => {
    await hive.hivepost("register", "safe-bob");
    await hive.hivepost("send", "safe-bob", "--", "\u001b]0;owned\u0007 \u009b2J ; rm -rf /");
    const { out } = await hive.hivepost("claim", "safe-bob");
    assert.match(out, />\n␛\]0;owned␇ \\u\{9b\}2J ; rm -rf \/\n<\/message /);
  });
});

describe("each command", () => {
  it("answers for a person", async () => {
    await hive.hivepost("register", "each-ada", "--alias", "each-a", "--program", "codex");
    await hive.hivepost("register", "each-bob");
    await hive.matches(["agents"], /^agent +health +status +can +groups +last seen\n[\s\S]*each-ada/);
    await hive.matches(["agent", "each-a"], /each-ada: alive, available\n {2}aliases +each-a\n {2}program +"codex"\n/);
    await hive.matches(
      ["heartbeat", "each-ada", "--status", "busy", "--task", "login page"],
      /each-ada: alive, busy\n[\s\S]*task +"login page"/,
    );
    const conversation = await hive.json("open", "each-ada", "each-bob");
    const id = String(conversation["id"]);
    await hive.matches(
      ["conversations", "each-ada"],
      new RegExp(`^${id} {2}active {2}last activity .* {2}each-ada, each-bob\n`),
    );
    await hive.matches(["set-conversation", id, "closed"], / closed /);
    await hive.matches(["conversation", id], / closed /);
    const refused = await hive.hivepost("send", "each-bob", "x", "--from", "each-ada", "--conversation", id);
    assert.deepEqual([refused.code, refused.out], [1, ""]);
    assert.match(refused.err, /^hivepost: conversation_closed: .*reopen/);
    await hive.matches(["health"], /^ok\n {2}version +\d/);
    await hive.matches(["remove", "each-bob"], /^removed; 0 waiting messages became dead letters/);
  });

  it("sends, imports and acknowledges many at once", async () => {
    await hive.hivepost("register", "many-bob");
    const messages = [
      { to_agent: "many-bob", content: "one" },
      { to_agent: "nobody-at-all", content: "two" },
    ];
    const sent = await hive.hivepost("send-many", JSON.stringify(messages));
    assert.equal(sent.code, 1);
    assert.match(sent.out, /^sent \S+ to many-bob \(.*\)\nnot sent: agent_not_found: /);
    const old = { from_agent: "many-bob", to_agent: "many-bob", content: "old", timestamp: "2020-01-01T00:00:00Z" };
    await hive.matches(["import", JSON.stringify([old])], /^imported 1, 0 were there already/);
    const { deliveries } = (await hive.json("claim", "many-bob", "--limit", "5")) as unknown as {
      deliveries: { message: { id: string }; lease_id: string }[];
    };
    const leases = deliveries.map(({ message, lease_id }) => ({ message_id: message.id, lease_id }));
    await hive.matches(["ack-many", JSON.stringify(leases)], /^\S+ acknowledged\n$/);
  });

  it("lists dead letters and puts them back", async () => {
    await hive.hivepost("register", "dead-bob");
    await hive.hivepost("send", "dead-bob", "x", "--expires-at", "1s", "--from", "dead-ada");
    await hive.hivepost("register", "dead-cleo");
    await hive.hivepost("send", "dead-cleo", "y");
    await hive.matches(["dead", "dead-cleo"], /^no dead letters/);
    await hive.matches(["remove", "dead-cleo"], /1 waiting message became dead letters/);
    await hive.hivepost("register", "dead-cleo");
    await hive.matches(
      ["dead", "dead-cleo"],
      / from=operator .* dead_for=dead-cleo died_at=.*>\ny\n<\/message \w+>\n<reason .*>\n.*dead-cleo was removed\n<\/reason /,
    );
    await hive.matches(["redrive", "--agent", "dead-cleo"], /^put back 1 message\n/);
  });

  it("pages, and says how to go on", async () => {
    await hive.hivepost("register", "page-bob");
    for (const text of ["a", "b", "c"]) await hive.hivepost("send", "page-bob", text);
    const first = await hive.hivepost("search", "--to", "page-bob", "--limit", "2");
    const [, cursor = ""] = /there is more: --cursor (\S+)/.exec(first.out) ?? [];
    await hive.matches(["search", "--to", "page-bob", "--limit", "2", "--cursor", cursor], />\na\n<\/message \S+>\n$/);
    await hive.matches(["search", "--to", "page-bob", "nothinglikethis"], /^no message found/);
  });

  it("calls any operation by its name", async () => {
    await hive.matches(["call", "registerAgent", '{"agent_id": "call-bob"}'], /^registered call-bob/);
    assert.deepEqual((await hive.json("call", "getAgent", '{"agent_id": "call-bob"}'))["agent_id"], "call-bob");
    await hive.matches(["getAgent", "call-bob"], /^call-bob: /);
    for (const [argv, message] of [
      [["call"], /call wants an operation/],
      [["call", "getAgnt"], /did you mean getAgent\?/],
      [["call", "getAgent", "{", "x"], /call takes one JSON text/],
      [["call", "getAgent", "[]"], /is a JSON object/],
      [["call", "getAgent", "nonsense"], /the input wants JSON/],
    ] as const) {
      const { code, err } = await hive.hivepost(...argv);
      assert.equal(code, 2, argv.join(" "));
      assert.match(err, message);
    }
  });

  it("explains an agent's inbox, also as JSON", async () => {
    await hive.hivepost("register", "why-bob");
    await hive.matches(["why", "why-bob"], /^inbox of why-bob: 0 waiting\.\n {2}Nothing waits here\.\n$/);
    assert.equal((await hive.json("why", "why-bob"))["agent_id"], "why-bob");
    const unknown = await hive.hivepost("why", "0198c0de-0000-7000-8000-000000000001");
    assert.equal(unknown.code, 1);
    assert.match(unknown.err, /message_not_found/);
    assert.equal((await hive.hivepost("why")).code, 2);
  });
});

describe("a refusal", () => {
  it("is one line for a person and the API's problem for a program, with exit code 1", async () => {
    const { code, out, err } = await hive.hivepost("send", "nobody", "x", "--json");
    assert.equal(code, 1);
    assert.equal(JSON.parse(out).code, "agent_not_found");
    assert.match(err, /^hivepost: agent_not_found: .*\n$/);
  });

  it("takes --json after a bare -- for text", async () => {
    assert.equal((await hive.hivepost("send", "nobody", "--", "--json")).out, "");
  });

  it("of a token says where the token came from", async () => {
    await using other = await temporaryFolder();
    const environment = { HIVEPOST_URL: hive.url, HIVEPOST_DATA_DIR: other.path };
    const none = await run(["agents"], { environment });
    assert.equal(none.code, 1);
    assert.match(none.err, /unauthenticated: .*there is no .*admin\.token: name the hive's folder with --data-dir/);
    const wrong = await run(["agents"], { environment: { ...environment, HIVEPOST_TOKEN: "hvp_wrong" } });
    assert.match(wrong.err, /unauthenticated: .*\(the token came from HIVEPOST_TOKEN\)/);
  });
});

describe("the server and the token", () => {
  it("are found by flag, environment and file", async () => {
    await using other = await temporaryFolder();
    const file = path.join(other.path, "token");
    await writeFile(file, `${hive.token}\n`);
    const base = { HIVEPOST_DATA_DIR: other.path };
    for (const [argv, environment] of [
      [["agents", "--url", hive.url, "--token-file", file], base],
      [["agents"], { ...base, HIVEPOST_URL: `${hive.url}/`, HIVEPOST_TOKEN: hive.token }],
      [["agents"], { ...base, HIVEPOST_URL: hive.url, HIVEPOST_TOKEN_FILE: file }],
      [["agents", "--data-dir", hive.dataDir], { ...base, HIVEPOST_URL: hive.url }],
    ] as const) {
      assert.deepEqual((await run(argv, { environment })).err, "");
    }
  });

  it("are refused where they make no sense", async () => {
    const unread = await run(["agents", "--token-file", "/nowhere/token"], { environment: {} });
    assert.deepEqual([unread.code, unread.err], [1, "hivepost: /nowhere/token does not exist\n"]);
    const noAddress = await run(["agents", "--url", "nonsense"], { environment: {} });
    assert.equal(noAddress.code, 2);
    assert.match(noAddress.err, /"nonsense" is no address of a server/);
  });

  it("are missing with exit code 3 where nobody listens, or somebody else", async () => {
    const nobody = await run(["agents", "--url", "http://127.0.0.1:4"], { environment: {} });
    assert.equal(nobody.code, 3);
    assert.match(nobody.err, /no server answers at http:\/\/127\.0\.0\.1:4 \(ECONNREFUSED\); start one with/);
    const lasting = await run(["tail", "--url", "http://127.0.0.1:4"], { environment: {} });
    assert.equal(lasting.code, 3);
    const page = await run(["agents", "--url", `${hive.url}/docs`], { environment: {} });
    assert.notEqual(page.code, 0);
  });
});

describe("the first token", () => {
  it("is in a file for its owner alone", async () => {
    const file = path.join(hive.dataDir, "admin.token");
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await readFile(file, "utf8")).trim(), hive.token);
  });
});
