import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { connect } from "../../src/client/client.ts";
import { openOutbox } from "../../src/client/outbox.ts";
import { createConversationKeys } from "../../src/client/sealed/conversation-keys.ts";
import type { Reading } from "../../src/client/sealed/opening.ts";
import { type RefusedDelivery, type SealedClient, sealedClient } from "../../src/client/sealed/sealed-client.ts";
import { sealMessage } from "../../src/client/sealed/sealing.ts";
import type { AgentId, Message } from "../../src/contract/messages.ts";
import { failsWith } from "../client/fails-with.ts";
import { eventually } from "../support/eventually.ts";
import { messageId } from "../support/fixtures.ts";
import { claimOne, openSealedHive, refusedOne, secret } from "./scene.ts";

const shown = (message: Message & Reading) => [message.content, message.metadata, message.verified?.fingerprint];

describe("two agents", () => {
  it("read what they send each other, and know who sealed it", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const before = Date.now();
    const sent = await ada.sendMessage({ to_agent: "bob", content: secret, metadata: { door: 7 } });
    assert.deepEqual([sent.content, sent.metadata], [secret, { door: 7 }]);
    const got = await claimOne(bob, "bob");
    assert.deepEqual(shown(got), [secret, { door: 7 }, await ada.fingerprint()]);
    assert.ok(Date.parse(got.verified?.sealed_at ?? "") >= before);
    await bob.sendMessage({ to_agent: "ada", content: "thanks", reply_to: got.id });
    assert.deepEqual(shown(await claimOne(ada, "ada")), ["thanks", {}, await bob.fingerprint()]);
  });

  it("leave nothing readable at the server, on its disk or to its operator", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const sent = await ada.sendMessage({ to_agent: "bob", content: secret, metadata: { secret } });
    await claimOne(bob, "bob");
    assert.ok(!JSON.stringify(await hive.operator.getMessage({ message_id: sent.id })).includes("xyzzy"));
    assert.ok(!JSON.stringify(await hive.operator.searchMessages({})).includes("xyzzy"));
    assert.deepEqual((await hive.operator.searchMessages({ q: "xyzzy" })).messages, []);
    const files = filesBelow(hive.dataDir);
    assert.ok(files.some((it) => it.endsWith("hivepost.db")) && files.some((it) => it.includes("audit")));
    for (const file of files) {
      const bytes = readFileSync(file);
      assert.ok(!bytes.includes("xyzzy"), file);
      assert.ok(!bytes.includes(Buffer.from(secret).toString("base64url").slice(0, -2)), file);
    }
  });

  it("work through a worker and a subscription, in order", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const handled: string[] = [];
    await using _worker = await bob.worker("bob", (message: Message & Reading, { delivery }) => {
      assert.equal(delivery.message, message);
      assert.ok(message.verified);
      handled.push(message.content);
    });
    const pushed: string[] = [];
    const acknowledged: Promise<unknown>[] = [];
    await using _subscription = await ada.subscribe({ agent_id: "ada" }, ({ message, lease_id }) => {
      pushed.push(message.content);
      acknowledged.push(ada.acknowledgeMessage({ message_id: message.id, lease_id }));
    });
    const texts = Array.from({ length: 12 }, (_, n) => `number ${n}`);
    for (const content of texts) {
      await ada.sendMessage({ to_agent: "bob", content });
      await bob.sendMessage({ to_agent: "ada", content });
    }
    await eventually("all are there", () => handled.length === 12 && pushed.length === 12);
    assert.deepEqual([handled, pushed], [texts, texts]);
    await Promise.all(acknowledged);
  });

  it("look back at what both have said", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const sent = await ada.sendMessage({ to_agent: "bob", content: secret });
    const traced = await ada.getMessage({ message_id: sent.id });
    assert.deepEqual([traced.content, traced.ledger[0]?.event], [secret, "accepted"]);
    const { messages } = await bob.searchMessages({ participant: "ada" });
    assert.deepEqual(messages.map(shown), [[secret, {}, await ada.fingerprint()]]);
  });

  it("say the same twice without it being sent twice, though each seal is another", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const message = { id: messageId(), to_agent: "bob", content: secret };
    const first = await ada.sendMessage(message);
    assert.deepEqual(await ada.sendMessage(message), first);
    await assert.rejects(ada.sendMessage({ ...message, content: "other" }), failsWith("idempotency_conflict", /./));
    await claimOne(bob, "bob");
    assert.deepEqual((await bob.claimMessages({ agent_id: "bob" })).deliveries, []);
  });

  it("send many at once, each succeeding or failing by itself", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    await hive.operator.registerAgent({ agent_id: "cleo" });
    const { results } = await ada.sendMessages({
      messages: [
        { to_agent: "cleo", content: "1" },
        { to_agent: "bob", content: "2" },
        { to_agent: "nobody", content: "3" },
      ],
    });
    assert.deepEqual(
      results.map((it) => (it.ok ? "ok" : it.error.code)),
      ["key_unknown", "ok", "agent_not_found"],
    );
    assert.equal((await claimOne(bob, "bob")).content, "2");
    const none = await ada.sendMessages({ messages: [{ to_agent: "cleo", content: "1" }] });
    assert.equal(none.results[0]?.ok, false);
  });

  it("fill an outbox with seals alone", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    const file = path.join(hive.keysFolder("ada"), "outbox.db");
    await using outbox = openOutbox({ file, client: ada });
    await outbox.send(await ada.seal({ to_agent: "bob", content: secret }));
    assert.ok(!readFileSync(file).includes("xyzzy"));
    assert.equal((await outbox.flush()).queued, 0);
    assert.equal((await claimOne(bob, "bob")).content, secret);
  });

  it("seal for whom they know without a server, so that an outbox can be filled", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    await ada.sendMessage({ to_agent: "bob", content: "first" });
    await claimOne(bob, "bob");
    const away = connect("http://127.0.0.1:9", { token: "none", connect_timeout_ms: 0 });
    const keys = hive.keysOf("ada");
    const offline = { agent_id: "ada" as AgentId, keys, bus: away, now: Date.now };
    const sealing = (to_agent: string) =>
      sealMessage(offline, createConversationKeys(offline), { to_agent, content: secret });
    await ada.sendMessage(await sealing("bob"));
    assert.equal((await claimOne(bob, "bob")).content, secret);
    await assert.rejects(sealing("cleo"), failsWith("unreachable", /./));
    await away[Symbol.asyncDispose]();
  });

  it("get plain messages as they are, and know that they were not sealed", async () => {
    await using hive = await openSealedHive();
    const bob = await hive.agent("bob");
    await hive.operator.sendMessage({ from_agent: "ada", to_agent: "bob", content: "in the open" });
    const got = await claimOne(bob, "bob");
    assert.deepEqual([got.content, got.verified], ["in the open", undefined]);
  });

  it("seal for nobody by another name, for no capability, and as nobody else", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    await bob.registerAgent({ agent_id: "bob", aliases: ["bobby"] });
    const refused = (message: object) => assert.rejects(ada.sendMessage(message), failsWith("invalid_input", /./));
    await refused({ to_agent: "bobby", content: "x" });
    await refused({ to: { capability: "rust" }, content: "x" });
    await refused({ to_agent: "bob", from_agent: "bob", content: "x" });
    await refused({ to_agent: "bob" });
    await refused({ content: "x" });
    await ada.sendMessage({ to_agent: "ada", content: "note to self" });
    assert.equal((await claimOne(ada, "ada")).content, "note to self");
  });
});

describe("a group", () => {
  it("reads a message sealed for all its members, and no one else does", async () => {
    await using hive = await openSealedHive();
    const agents = await Promise.all(["ada", "bob", "cleo", "dan"].map((it) => hive.agent(it)));
    const [ada, bob, cleo, dan] = agents as [SealedClient, SealedClient, SealedClient, SealedClient];
    for (const [name, client] of [
      ["ada", ada],
      ["bob", bob],
      ["cleo", cleo],
    ] as const) {
      await client.registerAgent({ agent_id: name, groups: ["crew"] });
    }
    const sent = await ada.sendMessage({ to: { group: "crew" }, content: secret });
    for (const [name, client] of [
      ["bob", bob],
      ["cleo", cleo],
    ] as const) {
      assert.equal((await claimOne(client, name)).content, secret);
    }
    const theirs = await hive.operator.getMessage({ message_id: sent.id });
    assert.equal(theirs.deliveries.length, 2);
    await ada.sendMessage({ to: { broadcast: true }, content: "all" });
    assert.equal((await claimOne(dan, "dan")).content, "all");
  });

  it("is sealed for once more when somebody joins just then", async () => {
    await using hive = await openSealedHive();
    const [bob, cleo, bare] = [await hive.agent("bob"), await hive.agent("cleo"), await hive.bare("ada")];
    await bob.registerAgent({ agent_id: "bob", groups: ["crew"] });
    let looked = 0;
    const listAgents: typeof bare.listAgents = async (input) => {
      const listed = await bare.listAgents(input);
      if (looked++ === 0) await cleo.registerAgent({ agent_id: "cleo", groups: ["crew"] });
      return listed;
    };
    const ada = await sealedClient({ ...bare, listAgents }, { agent_id: "ada", keys: hive.keysOf("ada") });
    await ada.sendMessage({ to: { group: "crew" }, content: secret });
    for (const [name, client] of [
      ["bob", bob],
      ["cleo", cleo],
    ] as const) {
      assert.equal((await claimOne(client, name)).content, secret);
    }
    assert.equal(looked, 2);
  });

  it("gets nothing while a member has no keys", async () => {
    await using hive = await openSealedHive();
    const ada = await hive.agent("ada");
    await hive.operator.registerAgent({ agent_id: "eve", groups: ["crew"] });
    const sending = ada.sendMessage({ to: { group: "crew" }, content: secret });
    await assert.rejects(sending, failsWith("key_unknown", /eve/));
  });
});

describe("keys that change", () => {
  it("stop sending until they are trusted, and mail sealed for the old ones still opens", async () => {
    await using hive = await openSealedHive();
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob")];
    await ada.sendMessage({ to_agent: "bob", content: "for the old key" });
    const old = await bob.fingerprint();
    const fresh = await bob.rotateOwnKeys();
    assert.notEqual(fresh, old);
    await assert.rejects(
      ada.sendMessage({ to_agent: "bob", content: "x" }),
      failsWith("key_changed", new RegExp(`${fresh}.*${old}`)),
    );
    assert.equal((await claimOne(bob, "bob")).content, "for the old key");
    const { keys, fingerprint } = await ada.getAgentKeys({ agent_id: "bob" });
    assert.equal(fingerprint, fresh);
    await hive.keysOf("ada").trust("bob" as never, keys);
    await ada.sendMessage({ to_agent: "bob", content: "for the new key" });
    assert.equal((await claimOne(bob, "bob")).content, "for the new key");
  });

  it("are told to all who follow and to the audit log", async () => {
    await using hive = await openSealedHive();
    const bob = await hive.agent("bob");
    const heard: string[] = [];
    await using _ = await hive.operator.follow({}, (event) => void heard.push(`${event.event} ${event.reason ?? ""}`));
    const fresh = await bob.rotateOwnKeys();
    await eventually("it is told", () => heard.some((it) => it.startsWith("agent_keys_changed") && it.includes(fresh)));
    const { entries } = await hive.operator.readAudit({ event: "agent_keys_changed", actor: "bob" });
    assert.deepEqual(entries[0]?.detail, { agent_id: "bob", fingerprint: fresh });
  });

  it("leave the rest of a registration as it was", async () => {
    await using hive = await openSealedHive();
    await hive.operator.registerAgent({ agent_id: "bob", groups: ["crew"], program: "agent", max_concurrency: 3 });
    const bob = await hive.agent("bob");
    await bob.rotateOwnKeys();
    const { groups, program, max_concurrency } = await bob.getAgent({ agent_id: "bob" });
    assert.deepEqual([groups, program, max_concurrency], [["crew"], "agent", 3]);
  });

  it("of a sender are refused with a reason until they are trusted", async () => {
    await using hive = await openSealedHive();
    const refusals: RefusedDelivery[] = [];
    const [ada, bob] = [await hive.agent("ada"), await hive.agent("bob", { onRefused: (it) => refusals.push(it) })];
    await ada.sendMessage({ to_agent: "bob", content: "first" });
    await claimOne(bob, "bob");
    await ada.rotateOwnKeys();
    const sent = await ada.sendMessage({ to_agent: "bob", content: "second" });
    const refused = await refusedOne(bob, "bob");
    assert.deepEqual([refused.message_id, refused.code], [sent.id, "key_changed"]);
    const { ledger } = await hive.operator.getMessage({ message_id: sent.id });
    assert.ok(ledger.some((it) => it.event === "rejected" && it.reason?.startsWith("key_changed: ")));
    assert.deepEqual(refusals, [refused]);
    const { unopened } = await bob.getMessage({ message_id: sent.id });
    assert.equal(unopened?.code, "key_changed");
    await hive.keysOf("bob").trust("ada" as never, (await bob.getAgentKeys({ agent_id: "ada" })).keys);
    assert.equal((await claimOne(bob, "bob")).content, "second");
  });

  it("that somebody put into the registry are not taken for one's own", async () => {
    await using hive = await openSealedHive();
    await hive.agent("bob");
    const { keys } = await hive.operator.getAgentKeys({ agent_id: "bob" });
    const eve = await hive.agent("eve");
    await hive.operator.registerAgent({ agent_id: "eve", keys });
    await assert.rejects(hive.agent("eve"), failsWith("key_changed", /none of those kept here/));
    await eve.rotateOwnKeys();
    await hive.agent("eve");
  });

  it("are published by a client that finds its own earlier ones in the registry", async () => {
    await using hive = await openSealedHive();
    await hive.agent("bob");
    await hive.keysOf("bob").rotate("bob" as never);
    const bob = await hive.agent("bob");
    const { fingerprint } = await hive.operator.getAgentKeys({ agent_id: "bob" });
    assert.equal(fingerprint, await bob.fingerprint());
  });

  it("cannot be changed by another agent", async () => {
    await using hive = await openSealedHive();
    await hive.agent("bob");
    const eve = await hive.bare("eve");
    const { keys } = await hive.operator.getAgentKeys({ agent_id: "bob" });
    await assert.rejects(eve.registerAgent({ agent_id: "bob", keys }), failsWith("forbidden", /./));
  });
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((it) => path.join(folder, it))
    .filter((it) => statSync(it).isFile());
}
