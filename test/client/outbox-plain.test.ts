import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { messageId, temporaryFolder } from "../support/fixtures.ts";
import {
  canaries,
  filesWith,
  fill,
  inDatabase,
  saying,
  scene,
  startOpener,
  writePlainOutbox,
} from "./outbox-folder.ts";

describe("an outbox of the earlier version, in plain text", () => {
  const plain = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ id: messageId(), ...saying(`${n} ${"x".repeat(300)}`) }));

  it("is read and sealed when it is opened, with no trace left of the text", async () => {
    await using folder = await temporaryFolder();
    const { open, file, office, outboxes } = await scene(folder);
    const messages = plain(30);
    writePlainOutbox(file, messages, "content: CANARY is no content");
    assert.deepEqual(await filesWith(outboxes, canaries), ["outbox.db"]);

    const outbox = open();
    assert.deepEqual(await filesWith(outboxes, canaries), []);
    const { queued, refused } = outbox.status();
    assert.deepEqual([queued, refused], [29, 1]);
    const [refusal] = outbox.refused();
    assert.deepEqual(refusal?.message, messages.at(-1));
    assert.deepEqual(refusal?.error, { code: "invalid_input", message: "content: CANARY is no content" });
    office.state.up = true;
    await outbox.flush();
    await outbox[Symbol.asyncDispose]();
    assert.deepEqual(
      office.arrivals().map((it) => it.id),
      messages.slice(0, -1).map((it) => it.id),
    );
    // Numbers go on after the greatest that was ever given out, also to messages that are gone.
    await fill(open, ["after"]);
    inDatabase(file, (it) => {
      assert.deepEqual({ ...it.prepare("SELECT max(seq) AS seq FROM outbox").get() }, { seq: 81 });
    });
  });

  it("loses nothing and is sealed in the end, though every attempt to seal it is killed", async () => {
    await using folder = await temporaryFolder();
    const { open, file, key_file, office, outboxes } = await scene(folder);
    const messages = plain(4_000);
    writePlainOutbox(file, messages, "no");
    for (let delay_ms = 0; delay_ms < 80; delay_ms += 8) {
      const opener = startOpener(file, key_file);
      await opener.begun;
      await new Promise((resolve) => setTimeout(resolve, delay_ms));
      opener.kill();
      await opener.ended;
    }
    await using outbox = open();
    assert.deepEqual(await filesWith(outboxes, canaries), []);
    assert.equal(outbox.status().queued + outbox.status().refused, 4_000);
    office.state.up = true;
    await outbox.flush({ timeout_ms: 20_000 });
    assert.deepEqual(
      office.arrivals().map((it) => it.id),
      messages.slice(0, -1).map((it) => it.id),
    );
  });

  it("is wiped by the next who opens it, where another process was reading", async () => {
    await using folder = await temporaryFolder();
    const { open, file, outboxes } = await scene(folder);
    writePlainOutbox(file, plain(30), "no");
    const reader = new DatabaseSync(file);
    reader.exec("BEGIN; SELECT count(*) FROM outbox;");
    const first = open();
    assert.notDeepEqual(await filesWith(outboxes, canaries), []);
    reader.exec("COMMIT");
    await first[Symbol.asyncDispose]();
    reader.close();
    const second = open();
    assert.deepEqual(await filesWith(outboxes, canaries), []);
    await second[Symbol.asyncDispose]();
    inDatabase(file, (it) => assert.deepEqual({ ...it.prepare("PRAGMA user_version").get() }, { user_version: 3 }));
  });

  it("takes no plain text any more from a process of that version which is still at work", async () => {
    await using folder = await temporaryFolder();
    const { open, file } = await scene(folder);
    writePlainOutbox(file, plain(3), "no");
    const earlier = new DatabaseSync(file, { timeout: 1_000 });
    const add = earlier.prepare("INSERT INTO outbox (id, lane, message, queued_at_ms) VALUES (?, ?, ?, ?)");
    add.run("before", "lane", "{}", 1);
    await open()[Symbol.asyncDispose]();
    assert.throws(() => add.run("after", "lane", '{"content":"CANARY"}', 1), /no column named message/);
    earlier.close();
  });
});
