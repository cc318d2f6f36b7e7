import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openAuditLog } from "../../src/app/audit.ts";
import { auditedMailroom } from "../../src/app/audited.ts";
import type { Call } from "../../src/app/mailroom.ts";
import { silentLog } from "../../src/base/log.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import type { Operation } from "../../src/contract/operation.ts";
import { operations } from "../../src/contract/operations.ts";
import { operationNames } from "../../src/contract/routes.ts";
import { openMemoryAudit } from "../../src/stores/memory/audit.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { openTestHive } from "../cli/test-hive.ts";
import { eventually } from "../support/eventually.ts";
import { ada, bob, clockAt, temporaryFolder } from "../support/fixtures.ts";
import { openMailroom, operatorCall } from "../support/hives.ts";

describe("a hive", () => {
  it("notes what was done, by whom, and never what was said or shown", async () => {
    await using hive = await openTestHive();
    for (const agent of ["ada", "bob"]) await hive.hivepost("register", agent);
    await hive.hivepost("send", "bob", "the-secret-of-the-hive", "--from", "ada");
    for (let i = 0; i < 3; i++) await hive.hivepost("search", "secret");
    for (let i = 0; i < 50; i++) {
      await fetch(`${hive.url}/agents`, { headers: { authorization: `Bearer hvp_guess_number_${i}` } });
    }
    await hive.hivepost("remove", "bob");
    const { entries } = await hive.json("audit");
    const told = (entries as unknown as { event: string; detail: object }[]).map((it) => it.event).reverse();
    assert.deepEqual(told, ["server_started", "messages_read", "authentication_failed", "agent_removed"]);
    const [removed] = entries as unknown as { actor: string; detail: object }[];
    assert.deepEqual([removed?.actor, removed?.detail], ["operator", { agent_id: "bob", dead: 1 }]);
    await hive.matches(["audit", "agent_removed"], /agent_removed +operator +\w{11} +agent_id=bob dead=1/);
    await hive.matches(["audit", "verify"], /^whole: \d entries from \S+ to \S+\n$/);
    const text = readFileSync(path.join(hive.dataDir, "audit.jsonl"), "utf8");
    assert.doesNotMatch(text, /the-secret|hvp_/);
    assert.ok(!text.includes(hive.token));
  });

  it("notes who asked for what is not theirs, and what was forgotten for its age", async () => {
    const clock = clockAt();
    const settings = { retention_ms: 3_600_000, idempotency_ms: 60_000 };
    await using hive = await openMailroom(async (options) => openMemoryStore(options), settings, clock);
    const { mailroom, audit } = hive;
    for (const agent_id of [ada, bob]) await mailroom.registerAgent({ agent_id }, operatorCall);
    const calledBy = (agent_id: AgentId): Call => ({
      caller: { actor: agent_id, scopes: ["agent"], agent_id, key_id: `key of ${agent_id}` },
    });
    await assert.rejects(mailroom.getInbox({ agent_id: ada }, calledBy(bob)), { code: "forbidden" });
    await assert.rejects(mailroom.listTokens({}, calledBy(ada)), { code: "forbidden" });
    await assert.rejects(
      mailroom.follow({}, async () => undefined, { caller: { actor: "anyone", scopes: ["open"] } }),
      { code: "forbidden" },
    );
    await mailroom.sendMessage({ from_agent: ada, to_agent: bob, content: "old" }, operatorCall);
    const { deliveries } = await mailroom.claimMessages({ agent_id: bob }, operatorCall);
    const [{ message, lease_id } = {}] = deliveries;
    if (message && lease_id) await mailroom.acknowledgeMessage({ message_id: message.id, lease_id }, operatorCall);
    clock.advance(3_600_001);
    const forgotten = async () => (await audit.entries({ limit: 9, event: "messages_forgotten" })).rows;
    await eventually("what is old is forgotten", async () => (await forgotten()).length > 0);
    assert.deepEqual(
      (await forgotten()).map((it) => [it.actor, it.detail]),
      [["system", { messages: 1, retention_ms: 3_600_000 }]],
    );
    const { rows } = await audit.entries({ limit: 9, event: "access_denied" });
    assert.deepEqual(rows.map((it) => [it.actor, it.key_id, it.detail]).reverse(), [
      ["bob", "key of bob", { operation: "getInbox" }],
      ["ada", "key of ada", { operation: "listTokens" }],
      ["anyone", undefined, { operation: "follow" }],
    ]);
  });

  it("can be given back from a backup without its audit log being called cut, and that is noted", async () => {
    await using folder = await temporaryFolder();
    const copy = path.join(folder.path, "copy.db");
    const second = path.join(folder.path, "second");
    await using hive = await openTestHive();
    assert.equal((await hive.hivepost("backup", copy)).code, 0);
    const restored = await hive.hivepost("restore", copy, "--data-dir", second);
    assert.equal(restored.code, 0, restored.err);
    const { code, out } = await hive.hivepost("audit", "verify", "--data-dir", second);
    assert.deepEqual([code, out.split(" from")[0]], [0, "whole: 1 entry"]);
    assert.match(readFileSync(path.join(second, "audit.jsonl"), "utf8"), /hive_restored/);
  });

  it("is told what is wrong with its log, with exit code 1", async () => {
    await using hive = await openTestHive();
    const file = path.join(hive.dataDir, "audit.jsonl");
    const { writeFileSync } = await import("node:fs");
    writeFileSync(file, readFileSync(file, "utf8").replace("server_started", "server_stopped"));
    const verify = () => hive.hivepost("audit", "verify");
    // Where the log ends is noted in the database one step behind; until then the line is taken for a stranger's.
    await eventually("the end of the log is noted", async () => !(await verify()).out.startsWith("inserted"));
    const { code, out } = await verify();
    assert.equal(code, 1);
    assert.match(out, /^edited: audit.jsonl line 1: entry 1 stood here/);
    assert.equal((await hive.hivepost("audit", "verify", "more")).code, 2);
  });
});

describe("what happens often", () => {
  it("is written once, and then counted until the minute is over", async () => {
    const store = openMemoryAudit();
    const timers: (() => void)[] = [];
    const startTimer = (_: number, callback: () => void) => {
      timers.push(callback);
      return () => undefined;
    };
    const audit = openAuditLog({ store, clock: clockAt(), log: silentLog, startTimer });
    const failed = (n: number) =>
      audit.count({ event: "authentication_failed", actor: "anyone", address: `10.0.${n >> 8}.${n & 255}` });
    for (let i = 0; i < 1_000; i++) await failed(1);
    await audit.count({ event: "messages_read", actor: "eve", detail: { messages: 2 } });
    await audit.count({ event: "messages_read", actor: "eve", detail: { messages: 3 } });
    for (const ring of timers.splice(0)) ring();
    const { rows } = await store.entries({ limit: 100 });
    assert.deepEqual(rows.map((it) => [it.event, it.detail["count"] ?? 1, it.detail["messages"]]).reverse(), [
      ["authentication_failed", 1, undefined],
      ["messages_read", 1, 2],
      ["authentication_failed", 999, undefined],
      ["messages_read", 1, 3],
    ]);
    for (let i = 0; i < 20_000; i++) await failed(i);
    await audit[Symbol.asyncDispose]();
    assert.ok((await store.entries({ limit: 10_000 })).rows.length < 600);
  });

  it("waits while nothing can be written, and what must be noted is refused meanwhile", async () => {
    const memory = openMemoryAudit();
    let isFull = true;
    const store = {
      ...memory,
      append: async (notes: Parameters<typeof memory.append>[0]) => {
        if (isFull) throw new BusError("storage_full", "full");
        await memory.append(notes);
      },
    };
    await using audit = openAuditLog({ store, clock: clockAt(), log: silentLog });
    await audit.requireWritable();
    await audit.count({ event: "access_denied", actor: "eve" });
    await assert.rejects(audit.note({ event: "token_created", actor: "eve" }), { code: "storage_full" });
    await assert.rejects(audit.requireWritable(), { code: "storage_full" });
    isFull = false;
    await audit.requireWritable();
    const { rows } = await memory.entries({ limit: 9 });
    assert.deepEqual(
      rows.map((it) => [it.event, it.detail["count"]]),
      [["access_denied", 1]],
    );
  });
});

describe("an operation while the audit log cannot be written", () => {
  it("is refused, unless it only takes rights away: then it is done, and noted as soon as that can be", async () => {
    const memory = openMemoryAudit();
    let isFull = true;
    const append: typeof memory.append = async (notes) => {
      if (isFull) throw new BusError("storage_full", "full");
      await memory.append(notes);
    };
    await using audit = openAuditLog({ store: { ...memory, append }, clock: clockAt(), log: silentLog });
    await using hive = await openMailroom(async (options) => openMemoryStore(options));
    const mailroom = auditedMailroom(hive.mailroom, { audit, log: silentLog });
    const { key_id } = await hive.mailroom.createToken({ scopes: ["operate"] }, operatorCall);
    await audit.count({ event: "access_denied", actor: "eve" });
    await assert.rejects(mailroom.createToken({ scopes: ["operate"] }, operatorCall), { code: "storage_full" });
    assert.equal((await hive.mailroom.listTokens({}, operatorCall)).tokens.length, 1);
    assert.ok((await mailroom.revokeToken({ key_id }, operatorCall)).revoked_at);
    isFull = false;
    await audit.requireWritable();
    const { rows } = await memory.entries({ limit: 9 });
    assert.deepEqual(rows.map((it) => it.event).sort(), ["access_denied", "token_revoked"]);
  });
});

it("the table of operations shows in the audit log only fields that there are, and none that agents write", () => {
  for (const name of operationNames) {
    const { audited, input, output }: Operation = operations[name];
    if (audited === "refusals") continue;
    const known = [input, output].flatMap((it) => Object.keys((it as { properties?: object }).properties ?? {}));
    for (const field of audited.fields ?? []) {
      assert.ok(known.includes(field), `${name}: ${field}`);
      assert.ok(!["content", "metadata", "q", "reason"].includes(field), `${name}: ${field}`);
    }
  }
});
