import assert from "node:assert/strict";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import type { Reading } from "../../src/client/sealed/opening.ts";
import { type RefusedDelivery, sealedClient } from "../../src/client/sealed/sealed-client.ts";
import { Reject } from "../../src/client/worker.ts";
import type { Conversation } from "../../src/contract/conversations.ts";
import type { AgentId, Message } from "../../src/contract/messages.ts";
import { removeSum } from "../../src/stores/sqlite/damage.ts";
import { failsWith } from "../client/fails-with.ts";
import { eventually } from "../support/eventually.ts";
import { messageId } from "../support/fixtures.ts";
import { claimOne, openSealedHive, refusedOne, type SealedHive, secret } from "./scene.ts";

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

describe("a server that lies about seals", () => {
  const forged = { verified: { fingerprint: "AAAA", sealed_at: "2026-01-05T09:00:00.000Z" } };

  it("cannot have a plain message taken for a sealed one", async () => {
    await using hive = await openSealedHive();
    const bare = await hive.bare("bob");
    const lying = {
      ...bare,
      claimMessages: async (input: Parameters<typeof bare.claimMessages>[0]) => {
        const { deliveries } = await bare.claimMessages(input);
        return { deliveries: deliveries.map((it) => ({ ...it, message: { ...it.message, ...forged } })) };
      },
      getMessage: async (input: Parameters<typeof bare.getMessage>[0]) => ({
        ...(await bare.getMessage(input)),
        ...forged,
      }),
    };
    const bob = await sealedClient(lying, { agent_id: "bob", keys: hive.keysOf("bob") });
    const { id } = await hive.operator.sendMessage({ from_agent: "ada", to_agent: "bob", content: "pay me" });
    const message = await claimOne(bob, "bob");
    assert.deepEqual([message.content, message.verified], ["pay me", undefined]);
    assert.equal((await bob.getMessage({ message_id: id })).verified, undefined);
  });

  it("cannot have one that does not open taken for opened", async () => {
    await using hive = await openSealedHive();
    const [ada, bare] = [await hive.agent("ada"), await hive.bare("bob")];
    const getMessage = async (input: Parameters<typeof bare.getMessage>[0]) => {
      const { sealed, ...message } = await bare.getMessage(input);
      return {
        ...message,
        content: "forged",
        ...forged,
        ...(sealed && { sealed: { ...sealed, tag: "A".repeat(22) } }),
      };
    };
    const bob = await sealedClient({ ...bare, getMessage }, { agent_id: "bob", keys: hive.keysOf("bob") });
    const { id } = await ada.sendMessage({ to_agent: "bob", content: secret });
    const { verified, unopened } = await bob.getMessage({ message_id: id });
    assert.deepEqual([verified, unopened?.code], [undefined, "sealed_invalid"]);
  });

  it("cannot show the fingerprint of other keys than it hands out", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const bare = await hive.bare("eve");
    const getAgentKeys = async (input: Parameters<typeof bare.getAgentKeys>[0]) => ({
      ...(await bare.getAgentKeys(input)),
      fingerprint: await ada.fingerprint(),
    });
    const eve = await sealedClient({ ...bare, getAgentKeys }, { agent_id: "eve", keys: hive.keysOf("eve") });
    assert.equal((await eve.getAgentKeys({ agent_id: "bob" })).fingerprint, await bob.fingerprint());
  });
});

describe("a server that delivers to the wrong agent", () => {
  /** What the first client of a call is handed in place of its own mail: what the operator claims for another. */
  const misdelivered = async (hive: SealedHive, to: string, meantFor: string) => {
    const bare = await hive.bare(to);
    const claimMessages = () => hive.operator.claimMessages({ agent_id: meantFor, limit: 10, wait_ms: 5_000 });
    return sealedClient({ ...bare, claimMessages }, { agent_id: to, keys: hive.keysOf(to) });
  };

  it("cannot have a sender act on its own message", async () => {
    await using hive = await openSealedHive();
    const [ada] = [await hive.agent("ada"), await hive.agent("bob")];
    await ada.sendMessage({ to_agent: "bob", content: "delete your files" });
    const refused = await refusedOne(await misdelivered(hive, "ada", "bob"), "ada");
    assert.deepEqual([refused.code, /addressed to bob/.test(refused.reason)], ["sealed_invalid", true]);
  });

  it("cannot have a sender act on what it said to a group", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    for (const [agent, agent_id] of [
      [ada, "ada"],
      [bob, "bob"],
    ] as const) {
      await agent.registerAgent({ agent_id, groups: ["crew"] });
    }
    await ada.sendMessage({ to: { group: "crew" }, content: "delete your files" });
    assert.equal((await refusedOne(await misdelivered(hive, "ada", "bob"), "ada")).code, "sealed_invalid");
  });

  it("cannot have another of the conversation act on it, who may read it", async () => {
    await using hive = await openSealedHive();
    const [ada] = [await hive.agent("ada"), await hive.agent("bob"), await hive.agent("cleo")];
    const talk = await ada.createConversation({ participants: ["ada", "bob", "cleo"], sealed: true });
    const sent = await ada.sendMessage({ to_agent: "bob", content: "delete your files", conversation_id: talk.id });
    const cleo = await misdelivered(hive, "cleo", "bob");
    assert.equal((await cleo.getMessage({ message_id: sent.id })).content, "delete your files");
    const { deliveries, refused } = await cleo.claimMessages({ agent_id: "cleo", limit: 10 });
    assert.deepEqual(deliveries, []);
    assert.ok(refused.some((it) => it.message_id === sent.id && it.code === "sealed_invalid"));
  });
});

describe("a server that lies about conversations", () => {
  const talkOf = async (hive: SealedHive, lie: (conversation: Conversation) => Conversation) => {
    await Promise.all([hive.agent("bob"), hive.agent("eve")]);
    const bare = await hive.bare("ada");
    const getConversation = async (input: { conversation_id: string }) => lie(await bare.getConversation(input));
    const ada = await sealedClient({ ...bare, getConversation }, { agent_id: "ada", keys: hive.keysOf("ada") });
    const { id } = await ada.createConversation({ participants: ["ada", "bob"], sealed: true });
    return { id, send: () => ada.sendMessage({ to_agent: "bob", content: secret, conversation_id: id }) };
  };

  it("cannot have anything sent in plain by calling a sealed one plain", async () => {
    await using hive = await openSealedHive();
    const { send } = await talkOf(hive, ({ sealed: _, ...plain }) => plain);
    const { sealed } = await send();
    assert.ok(sealed && "recipients" in sealed && sealed.recipients.length === 2);
    assert.equal((await claimOne(await hive.agent("bob"), "bob")).content, secret);
  });

  it("cannot have what is said in one sealed for those who take part in another", async () => {
    await using hive = await openSealedHive();
    const { id: other } = await hive.operator.createConversation({ participants: ["ada", "eve"], sealed: true });
    const { id, send } = await talkOf(hive, (it) => ({
      ...it,
      id: other as typeof it.id,
      participants: ["ada", "eve"] as AgentId[],
    }));
    await assert.rejects(send(), failsWith("invalid_input", /another conversation/));
    assert.equal((await hive.operator.searchMessages({ conversation_id: id })).messages.length, 0);
  });
});

describe("an agent with keys of its own", () => {
  it("cannot seal what a server would not let through", async () => {
    await using hive = await openSealedHive();
    const [ada] = [await hive.agent("ada"), await hive.agent("bob")];
    for (const text of [
      `${'{"a":'.repeat(17)}1${"}".repeat(17)}`,
      '{"a":[{"__proto__":{"isAdmin":true}}]}',
      '{"a":1e999}',
    ]) {
      const metadata = JSON.parse(text);
      await assert.rejects(
        ada.sendMessage({ to_agent: "bob", content: "x", metadata }),
        failsWith("invalid_input", /metadata/),
      );
    }
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
  it("says nothing of a sealed message's words where its handler fails over them", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const errors: unknown[] = [];
    const { id } = await ada.sendMessage({ to_agent: "bob", content: secret });
    await using _ = await bob.worker("bob", ({ content }) => JSON.parse(content), { onError: (it) => errors.push(it) });
    await eventually("it is given up", () => errors.length === 3);
    const told = (await hive.operator.getMessage({ message_id: id })).ledger.map((it) => it.reason ?? "");
    assert.deepEqual(
      [told.some((it) => /xyzzy/.test(it)), told.some((it) => /the handler failed/.test(it))],
      [false, true],
    );
    assert.match(String((errors[0] as Error).cause), /SyntaxError.*xyzzy/);
  });

  it("gives a reason that a handler means to give, and those of plain messages as ever", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const sealed = await ada.sendMessage({ to_agent: "bob", content: "no" });
    const plain = await hive.operator.sendMessage({ from_agent: "ada", to_agent: "bob", content: "no" });
    const errors: unknown[] = [];
    const handler = (message: Message & Reading) => {
      throw message.verified ? new Reject("not my job") : new Error("not sealed");
    };
    await using _ = await bob.worker("bob", handler, { onError: (it) => errors.push(it) });
    await eventually("both are given up", () => errors.length === 6);
    const reasons = async (message_id: string) =>
      (await hive.operator.getMessage({ message_id })).ledger.flatMap((it) => it.reason ?? []);
    assert.ok((await reasons(sealed.id)).includes("not my job"));
    assert.ok((await reasons(plain.id)).includes("not sealed"));
  });

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
    assert.match(String(notice.metadata["reason"]), /sealed_invalid/);
    const { dead_letters } = await bob.listDeadLetters({ agent_id: "bob" });
    assert.deepEqual(
      dead_letters.map((it) => [it.message.content, it.message.unopened?.code]),
      [["", "sealed_invalid"]],
    );
  });
});
