import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Reading } from "../../src/client/sealed/opening.ts";
import type { SealedClient } from "../../src/client/sealed/sealed-client.ts";
import type { Message } from "../../src/contract/messages.ts";
import { failsWith } from "../client/fails-with.ts";
import { eventually } from "../support/eventually.ts";
import { openSealedHive, type SealedHive } from "./scene.ts";

/** ada, bob and cleo with keys, ada and bob in a sealed conversation. */
async function openTalk() {
  const hive = await openSealedHive();
  const [ada, bob, cleo] = [await hive.agent("ada"), await hive.agent("bob"), await hive.agent("cleo")];
  const { id } = await ada.createConversation({ participants: ["ada", "bob"], sealed: true });
  const say = (client: SealedClient, to_agent: string, content: string) =>
    client.sendMessage({ to_agent, content, conversation_id: id });
  return { hive, ada, bob, cleo, conversation_id: id, say, [Symbol.asyncDispose]: () => hive[Symbol.asyncDispose]() };
}

async function claimAll(client: SealedClient, agent_id: string): Promise<string[]> {
  const { deliveries, refused } = await client.claimMessages({ agent_id, limit: 100, wait_ms: 5_000 });
  assert.deepEqual(refused, []);
  await client.acknowledgeMessages({
    acknowledgements: deliveries.map(({ message, lease_id }) => ({ message_id: message.id, lease_id })),
  });
  return deliveries.map((it) => it.message.content);
}

/** What the server holds of a conversation: of how many keys, and of how many messages under one. */
async function heldBy({ operator }: SealedHive, conversation_id: string) {
  const { messages } = await operator.searchMessages({ conversation_id, limit: 500 });
  const carriers = messages.filter((it) => it.sealed && "recipients" in it.sealed);
  const kids = messages.flatMap(({ sealed }) => {
    if (!sealed || "recipients" in sealed) return [];
    return [JSON.parse(Buffer.from(sealed.protected, "base64url").toString()).kid as string];
  });
  return { carriers: carriers.length, messages: kids.length, kids: new Set(kids).size };
}

describe("a sealed conversation", () => {
  it("costs one key for each sender, and is read by its members", async () => {
    await using talk = await openTalk();
    const { ada, bob, say, hive, conversation_id } = talk;
    await Promise.all(["1", "2", "3"].map((it) => say(ada, "bob", it)));
    assert.deepEqual((await claimAll(bob, "bob")).sort(), ["1", "2", "3"]);
    await say(bob, "ada", "4");
    await say(bob, "ada", "5");
    assert.deepEqual(await claimAll(ada, "ada"), ["4", "5"]);
    assert.deepEqual(await heldBy(hive, conversation_id), { carriers: 2, messages: 5, kids: 2 });
  });

  it("goes through workers and subscriptions, which see no keys", async () => {
    await using talk = await openTalk();
    const { ada, bob, say, hive } = talk;
    const handled: string[] = [];
    const pushed: string[] = [];
    const acknowledged: Promise<unknown>[] = [];
    await using _worker = await bob.worker("bob", (message: Message & Reading) => {
      assert.ok(message.verified);
      handled.push(message.content);
    });
    await using _subscription = await ada.subscribe({ agent_id: "ada" }, ({ message, lease_id }) => {
      pushed.push(message.content);
      acknowledged.push(ada.acknowledgeMessage({ message_id: message.id, lease_id }));
    });
    for (const text of ["1", "2"]) {
      await say(ada, "bob", text);
      await say(bob, "ada", text);
    }
    await eventually("all is read", () => handled.length === 2 && pushed.length === 2);
    assert.deepEqual(
      [handled, pushed],
      [
        ["1", "2"],
        ["1", "2"],
      ],
    );
    await Promise.all(acknowledged);
    await eventually("nothing is left", async () => (await hive.operator.getInbox({ agent_id: "bob" })).total === 0);
  });

  it("is read by a client that has just been started: it finds the keys in the conversation", async () => {
    await using talk = await openTalk();
    const { ada, bob, say, hive, conversation_id } = talk;
    await say(ada, "bob", "before");
    assert.deepEqual(await claimAll(bob, "bob"), ["before"]);
    await say(ada, "bob", "after");
    const [again, sender] = [await hive.agent("bob"), await hive.agent("ada")];
    assert.deepEqual(await claimAll(again, "bob"), ["after"]);
    const { messages } = await sender.searchMessages({ conversation_id, message_type: "task" });
    assert.deepEqual(messages.map((it) => it.content).sort(), ["after", "before"]);
    const { messages: keys } = await sender.searchMessages({ conversation_id, message_type: "status" });
    assert.deepEqual(
      keys.map((it) => it.content),
      [`(the key of the conversation ${conversation_id})`],
    );
  });

  it("gets a new key when somebody joins, who reads nothing earlier", async () => {
    await using talk = await openTalk();
    const { ada, bob, cleo, say, hive, conversation_id } = talk;
    const earlier = await say(ada, "bob", "earlier");
    await assert.rejects(say(ada, "cleo", "not yet"), failsWith("sealed_for_others", /cleo/));
    // Whoever is sealed for joins: said by bob without the conversation's key, to cleo.
    await bob.claimMessages({ agent_id: "bob" });
    await bob.sendMessage({ to_agent: "cleo", content: "welcome", reply_to: earlier.id });
    await say(ada, "cleo", "later");
    assert.deepEqual((await claimAll(cleo, "cleo")).sort(), ["later", "welcome"]);
    const { messages } = await cleo.searchMessages({ conversation_id, message_type: "task", order: "asc" });
    assert.deepEqual(
      messages.map((it) => it.unopened?.code ?? it.content),
      ["key_unknown", "welcome", "later"],
    );
    assert.equal((await heldBy(hive, conversation_id)).kids, 2);
  });

  it("gets a new key when a member's keys change, once they are trusted", async () => {
    await using talk = await openTalk();
    const { ada, bob, say, hive, conversation_id } = talk;
    await say(ada, "bob", "1");
    assert.deepEqual(await claimAll(bob, "bob"), ["1"]);
    await bob.rotateOwnKeys();
    await assert.rejects(say(ada, "bob", "2"), failsWith("key_changed", /./));
    await hive.keysOf("ada").trust("bob" as never, (await ada.getAgentKeys({ agent_id: "bob" })).keys);
    await say(ada, "bob", "2");
    assert.deepEqual(await claimAll(bob, "bob"), ["2"]);
    assert.equal((await heldBy(hive, conversation_id)).kids, 2);
  });

  it("is closed to who takes no part and to what is not sealed", async () => {
    await using talk = await openTalk();
    const { cleo, hive, conversation_id } = talk;
    const outside = cleo.sendMessage({ to_agent: "bob", content: "x", conversation_id });
    await assert.rejects(outside, failsWith("conversation_not_found", /./));
    const plain = hive.operator.sendMessage({ from_agent: "ada", to_agent: "bob", content: "x", conversation_id });
    await assert.rejects(plain, failsWith("sealed_only", /./));
    const operator = await hive.operator.getConversation({ conversation_id });
    assert.deepEqual([operator.sealed, operator.participants], [true, ["ada", "bob"]]);
  });
});
