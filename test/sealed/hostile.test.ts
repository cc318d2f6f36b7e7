import assert from "node:assert/strict";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { type RefusedDelivery, sealedClient } from "../../src/client/sealed/sealed-client.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import { removeSum } from "../../src/stores/sqlite/damage.ts";
import { failsWith } from "../client/fails-with.ts";
import { eventually } from "../support/eventually.ts";
import { messageId } from "../support/fixtures.ts";
import { claimOne, openSealedHive, refusedOne, secret } from "./scene.ts";

describe("an operator who tampers with the database", () => {
  const inDatabase = (dataDir: string, work: (db: DatabaseSync) => void) => {
    const file = path.join(dataDir, "hivepost.db");
    const db = new DatabaseSync(file);
    work(db);
    db.close();
    // Who knows how to change a file knows that it has a sum, too.
    removeSum(file);
  };
  /** What ada has sent to bob, with something in the files changed before bob sees it. */
  const tampered = async (change: (db: DatabaseSync) => void) => {
    const hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    for (const content of ["first", "second"]) await ada.sendMessage({ to_agent: "bob", content });
    await hive.tamper((dataDir) => inDatabase(dataDir, change));
    const claimed = await bob.claimMessages({ agent_id: "bob", limit: 10, wait_ms: 5_000 });
    const outcome = [claimed.deliveries.map((it) => it.message.content), claimed.refused.map((it) => it.code)];
    await hive[Symbol.asyncDispose]();
    return outcome;
  };

  it("cannot move a seal to another message", async () => {
    const moved = await tampered((db) =>
      db.exec("UPDATE messages SET sealed = (SELECT sealed FROM messages ORDER BY position LIMIT 1)"),
    );
    assert.deepEqual(moved, [["first"], ["sealed_invalid"]]);
  });

  it("cannot say that another has sent it, nor that it is of another conversation's", async () => {
    assert.deepEqual(await tampered((db) => db.exec("UPDATE messages SET from_agent = 'bob'")), [
      [],
      ["sealed_invalid", "sealed_invalid"],
    ]);
  });

  it("cannot change a bit of it, nor leave a reader out", async () => {
    const changed = await tampered((db) =>
      db.exec(`UPDATE messages SET sealed = json_set(sealed, '$.tag', 'AAAAAAAAAAAAAAAAAAAAAA') WHERE position =
        (SELECT MIN(position) FROM messages); UPDATE messages SET sealed = json_remove(sealed, '$.recipients[0]')
        WHERE position = (SELECT MAX(position) FROM messages)`),
    );
    assert.deepEqual(changed, [[], ["sealed_invalid", "sealed_invalid"]]);
  });

  it("cannot play back what was handled under a new id", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const sent = await ada.sendMessage({ to_agent: "bob", content: "pay once" });
    await claimOne(bob, "bob");
    const { sealed } = await hive.operator.getMessage({ message_id: sent.id });
    assert.ok(sealed);
    await hive.operator.sendMessage({ id: messageId(), from_agent: "ada", to_agent: "bob", sealed });
    assert.equal((await refusedOne(bob, "bob")).code, "sealed_invalid");
  });

  it("cannot play back what is older than is remembered", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob", { retention_ms: 1 })];
    await ada.sendMessage({ to_agent: "bob", content: "long ago" });
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await refusedOne(bob, "bob")).code, "sealed_replayed");
  });

  it("is not believed where it says that another agent has a name", async () => {
    await using hive = await openSealedHive();
    const [ada, eve] = [await hive.agent("ada"), await hive.agent("eve")];
    await eve.registerAgent({ agent_id: "eve", aliases: ["bob"] });
    await assert.rejects(ada.sendMessage({ to_agent: "bob", content: secret }), failsWith("invalid_input", /eve/));
  });
});

describe("a server that lies about names", () => {
  it("is not believed about who a sender is", async () => {
    await using hive = await openSealedHive();
    const [ada, eve] = [await hive.agent("ada"), await hive.agent("eve")];
    const bare = await hive.bare("bob");
    const getAgentKeys: typeof bare.getAgentKeys = () => bare.getAgentKeys({ agent_id: "eve" });
    const bob = await sealedClient({ ...bare, getAgentKeys }, { agent_id: "bob", keys: hive.keysOf("bob") });
    await ada.sendMessage({ to_agent: "bob", content: secret });
    const refused = await refusedOne(bob, "bob");
    assert.equal(refused.code, "key_unknown");
    assert.deepEqual(await hive.keysOf("bob").trusted("ada" as AgentId), []);
    assert.ok(await eve.fingerprint());
  });
});

describe("a client whose server fails", () => {
  it("publishes nothing, and gives back what it cannot open with the reason", async () => {
    await using hive = await openSealedHive();
    const [ada, bare] = [await hive.agent("ada"), await hive.bare("bob")];
    const broken = async () => {
      throw new Error("the disk of keys is gone");
    };
    await assert.rejects(
      sealedClient({ ...bare, getAgent: broken }, { agent_id: "bob", keys: hive.keysOf("bob") }),
      /disk of keys/,
    );
    const bob = await sealedClient({ ...bare, getAgentKeys: broken }, { agent_id: "bob", keys: hive.keysOf("bob") });
    await assert.rejects(bob.sendMessages({ messages: [{ to_agent: "ada", content: "x" }] }), /disk of keys/);
    await ada.sendMessage({ to_agent: "bob", content: secret });
    const refused = await refusedOne(bob, "bob");
    assert.deepEqual([refused.code, refused.reason], ["internal", "Error: the disk of keys is gone"]);
    await assert.rejects(bob.getMessage({ message_id: refused.message_id }), /disk of keys/);
  });
});

describe("a worker that cannot open a message", () => {
  it("rejects it with the reason, and the sender gets to know", async () => {
    await using hive = await openSealedHive();
    const refusals: RefusedDelivery[] = [];
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob", { onRefused: (it) => refusals.push(it) })];
    const bare = await hive.bare("ada");
    const { sealed, ...fields } = await ada.seal({ to_agent: "bob", content: "x" });
    assert.ok("recipients" in sealed);
    await bare.sendMessage({ ...fields, sealed: { ...sealed, tag: "A".repeat(22) } });
    const handled: unknown[] = [];
    await using _ = await bob.worker("bob", (message) => handled.push(message));
    await eventually("it is given up", () => refusals.length === 3);
    assert.deepEqual(handled, []);
    const notice = await claimOne(ada, "ada");
    assert.match(notice.content, /sealed_invalid/);
    const { dead_letters } = await bob.listDeadLetters({ agent_id: "bob" });
    assert.deepEqual(
      dead_letters.map((it) => [it.message.content, it.message.unopened?.code]),
      [["", "sealed_invalid"]],
    );
  });
});
