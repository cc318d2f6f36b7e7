import assert from "node:assert/strict";
import { stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { connect } from "../../src/client/client.ts";
import { type OutboxOptions, openOutbox } from "../../src/client/outbox.ts";
import { BusError } from "../../src/contract/errors.ts";
import { eventually } from "../support/eventually.ts";
import { messageId, type TemporaryFolder, temporaryFolder } from "../support/fixtures.ts";
import { failsWith } from "./fails-with.ts";
import { startHive, token } from "./hive.ts";
import { createPostOffice } from "./post-office.ts";

const fileIn = (folder: TemporaryFolder) => path.join(folder.path, "outbox.db");
const keyIn = (folder: TemporaryFolder) => path.join(folder.path, "keys", "outbox.key");
const toAda = (content: string) => ({ from_agent: "bob", to_agent: "ada", content });
const contents = (office: ReturnType<typeof createPostOffice>) => office.arrivals().map((it) => it.content);

function open(folder: TemporaryFolder, client: OutboxOptions["client"], limit = 1_000) {
  return openOutbox({ file: fileIn(folder), key_file: keyIn(folder), client, limit, retry_max_ms: 5 });
}

describe("an outbox", () => {
  it("accepts while the server is away, and hands over in order when it comes back", async () => {
    await using folder = await temporaryFolder();
    await using hive = await startHive();
    await using client = connect(hive.url, { token, reconnect_max_ms: 10 });
    await client.registerAgent({ agent_id: "ada" });
    await hive.stop();
    await using outbox = open(folder, client);

    const queued = await Promise.all(["1", "2", "3"].map((it) => outbox.send(toAda(it))));
    assert.equal(outbox.status().queued, 3);
    assert.ok(Math.abs((outbox.status().oldest_ms ?? 0) - Date.now()) < 10_000);
    await hive.start();

    assert.equal((await outbox.flush()).queued, 0);
    const { deliveries } = await client.claimMessages({ agent_id: "ada", limit: 10 });
    assert.deepEqual(
      deliveries.map(({ message }) => [message.id, message.content]),
      queued.map(({ id }, n) => [id, String(n + 1)]),
    );
  });

  it("keeps what it accepted when it is closed and opened again", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    office.state.up = false;
    const before = open(folder, office.client);
    await before.send(toAda("still here"));
    await before[Symbol.asyncDispose]();

    office.state.up = true;
    await using after = open(folder, office.client);
    await after.flush();

    assert.deepEqual(contents(office), ["still here"]);
  });

  it("keeps what is sent in the very moment it is closed", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    office.state.up = false;
    const before = open(folder, office.client);
    const sent = before.send(toAda("last words"));
    await before[Symbol.asyncDispose]();

    assert.equal((await sent).queued, true);
    await assert.rejects(before.send(toAda("too late")), failsWith("unavailable", /closed/));
    office.state.up = true;
    await using after = open(folder, office.client);
    await after.flush();
    assert.deepEqual(contents(office), ["last words"]);
  });

  it("keeps what the server refuses apart, with the reason, and goes on with the rest", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    await using outbox = open(folder, office.client);

    const { id } = await outbox.send({ ...toAda("lost soul"), to_agent: "nobody" });
    await outbox.send(toAda("fine"));
    await outbox.flush();

    assert.deepEqual(contents(office), ["fine"]);
    const [refused] = outbox.refused();
    assert.equal(refused?.message.id, id);
    assert.deepEqual(refused?.error, { code: "agent_not_found", message: "nobody lives here" });
    const { queued, refused: count } = outbox.status();
    assert.deepEqual([queued, count], [0, 1]);
  });

  it("tries refused messages again or drops them, as it is told", async () => {
    await using folder = await temporaryFolder();
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    await using outbox = open(folder, client);
    const { id } = await outbox.send(toAda("first"));
    await outbox.send(toAda("second"));
    await outbox.send(toAda("third"));
    await outbox.flush();
    assert.equal(outbox.status().refused, 3);

    await client.registerAgent({ agent_id: "ada" });
    assert.equal(outbox.discard([id]), 1);
    assert.equal(outbox.requeue(), 2);
    await outbox.flush();

    const { deliveries } = await client.claimMessages({ agent_id: "ada", limit: 10 });
    assert.deepEqual(
      deliveries.map(({ message }) => message.content),
      ["second", "third"],
    );
    assert.equal(outbox.status().refused, 0);
  });

  it("does not call refused what was accepted before, its answer having been lost", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    let tries = 0;
    const client = {
      getMessage: office.client.getMessage,
      async sendMessage(message: Parameters<typeof office.client.sendMessage>[0]) {
        tries += 1;
        if (tries > 1) throw new BusError("agent_not_found", "ada was removed meanwhile");
        await office.client.sendMessage(message);
        throw new BusError("unreachable", "the answer was lost");
      },
    };
    await using outbox = open(folder, client);

    await outbox.send(toAda("once"));
    await outbox.flush();

    assert.equal(tries, 2);
    const { queued, refused } = outbox.status();
    assert.deepEqual([queued, refused], [0, 0]);
  });

  it("does not let a full inbox hold up the mail to others", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    office.state.full.add("ada");
    await using outbox = open(folder, office.client);

    await outbox.send(toAda("1"));
    await outbox.send(toAda("2"));
    await outbox.send({ ...toAda("for cleo"), to_agent: "cleo" });
    await eventually("cleo's arrived", () => contents(office).length === 1);
    assert.equal(outbox.status().queued, 2);
    assert.match(String(outbox.status().last_error), /ada has too much mail/);

    office.state.full.clear();
    await outbox.flush();
    assert.deepEqual(contents(office), ["for cleo", "1", "2"]);
  });

  it("does not send an answer before the message it answers", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    office.state.full.add("ada");
    await using outbox = open(folder, office.client);

    const { id } = await outbox.send(toAda("question"));
    await outbox.send({ from_agent: "bob", to_agent: "cleo", content: "about it", reply_to: id });
    await eventually("the question was tried", () => office.state.tries > 1);
    office.state.full.clear();
    await outbox.flush();

    assert.deepEqual(contents(office), ["question", "about it"]);
  });

  it("takes an id once: the same message again is the same, another is an error", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    office.state.up = false;
    await using outbox = open(folder, office.client);
    const id = messageId();

    await outbox.send({ ...toAda("this"), id });
    await outbox.send({ ...toAda("this"), id });
    const both = [outbox.send({ ...toAda("that"), id }), outbox.send(toAda("something else"))] as const;

    await assert.rejects(both[0], failsWith("idempotency_conflict", new RegExp(id)));
    await both[1];
    assert.equal(outbox.status().queued, 2);
  });

  it("accepts no more than its limit", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    office.state.up = false;
    await using outbox = open(folder, office.client, 2);
    await outbox.send(toAda("1"));
    await outbox.send(toAda("2"));

    await assert.rejects(outbox.send(toAda("3")), failsWith("unavailable", /holds 2 messages/));

    office.state.up = true;
    await outbox.flush();
    await outbox.send(toAda("3"));
    await outbox.flush();
    assert.deepEqual(contents(office), ["1", "2", "3"]);
  });

  it("says after the time given what still waits, and why", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    office.state.up = false;
    await using outbox = open(folder, office.client);
    await outbox.send(toAda("1"));

    const { queued, last_error } = await outbox.flush({ timeout_ms: 50 });

    assert.equal(queued, 1);
    assert.match(String(last_error), /post office is closed/);
  });

  it("works on many lanes and long ones", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    await using outbox = open(folder, office.client);

    for (let n = 0; n < 300; n++) void outbox.send({ from_agent: `agent-${n}`, to_agent: "ada", content: String(n) });
    const long = Array.from({ length: 250 }, (_, n) => `long ${n}`);
    for (const content of long) void outbox.send(toAda(content));
    await outbox.flush();

    assert.equal(office.arrivals().length, 550);
    assert.deepEqual(
      contents(office).filter((it) => it.startsWith("long")),
      long,
    );
  });

  it("may be shared: one drains, and another takes over when that one is closed", async () => {
    await using folder = await temporaryFolder();
    const office = createPostOffice();
    const first = open(folder, office.client);
    await eventually(
      "the first one drains",
      async () => (await first.send(toAda("0"))) && office.arrivals().length > 0,
    );
    const idle = createPostOffice();
    await using second = open(folder, idle.client);

    await second.send({ ...toAda("for the first to hand over"), to_agent: "cleo" });
    await second.flush();
    assert.equal(idle.state.tries, 0);
    await first[Symbol.asyncDispose]();
    await second.send(toAda("by the second"));
    await second.flush();

    assert.deepEqual(contents(idle), ["by the second"]);
  });

  it("says when its file cannot be used any more", async () => {
    await using folder = await temporaryFolder();
    const outbox = open(folder, createPostOffice().client);
    const database = new DatabaseSync(fileIn(folder));
    database.exec("ALTER TABLE outbox RENAME TO something_else");

    await assert.rejects(outbox.send(toAda("hello")), failsWith("unavailable", /outbox\.db: no such table/));
    database.exec("ALTER TABLE something_else RENAME TO outbox");
    database.close();
    await outbox.send(toAda("hello again"));
    assert.equal((await outbox.flush()).queued, 0);
    await outbox[Symbol.asyncDispose]();
  });

  it("is for its owner's eyes only", async () => {
    await using folder = await temporaryFolder();
    await using outbox = open(folder, createPostOffice().client);
    await outbox.send(toAda("secret"));

    for (const suffix of ["", "-wal", "-drain"]) {
      assert.equal((await stat(fileIn(folder) + suffix)).mode & 0o777, 0o600, suffix);
    }
  });

  it("refuses a file that is no outbox or from a newer version", async () => {
    await using folder = await temporaryFolder();
    const { client } = createPostOffice();
    await writeFile(fileIn(folder), "this is no database, but a text that somebody left here by mistake.\n".repeat(20));
    assert.throws(() => open(folder, client), failsWith("database_damaged", /outbox\.db.*move it away/));

    const newer = path.join(folder.path, "newer.db");
    const database = new DatabaseSync(newer);
    database.exec("PRAGMA user_version = 99");
    database.close();
    assert.throws(
      () => openOutbox({ file: newer, key_file: keyIn(folder), client }),
      failsWith("database_newer", /newer\.db.*update/),
    );
  });
});
