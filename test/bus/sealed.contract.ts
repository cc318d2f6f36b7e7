import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Bus } from "../../src/contract/operations.ts";
import type { PublicKeys } from "../../src/contract/public-keys.ts";
import { fingerprint, makeAgentKeys, publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { ada, bob, cleo, messageId, monday_ms } from "../support/fixtures.ts";
import { aConversationSeal, aSeal } from "../support/sealed.ts";
import { claim, nobody, type OpenHive, openScene, rejectsWith, send } from "./scene.ts";

/** What the bus promises of messages that it cannot read. */
export function sealedContract(name: string, openHive: OpenHive): void {
  const keys: Record<"ada" | "bob" | "cleo", PublicKeys> = {} as never;
  before(async () => {
    for (const agent of ["ada", "bob", "cleo"] as const) keys[agent] = publicKeysOf(await makeAgentKeys(monday_ms));
  });
  const kid = (...agents: (keyof typeof keys)[]) => agents.map((it) => keys[it].encryption.kid);
  const publish = (bus: Bus, agent_id: keyof typeof keys) =>
    bus.registerAgent({ agent_id: { ada, bob, cleo }[agent_id], keys: keys[agent_id], groups: ["crew"] });
  const sealedFor = (...agents: (keyof typeof keys)[]) => ({ sealed: aSeal(...kid(...agents)), content: undefined });

  /** Where ada and bob have published keys. */
  async function openSealing(): Promise<Awaited<ReturnType<typeof openScene>>> {
    const hive = await openScene(openHive);
    await publish(hive.bus, "ada");
    await publish(hive.bus, "bob");
    return hive;
  }
  const sealed = (bus: Bus, overrides: object = {}) => {
    const { content: _, ...fields } = { id: messageId(), from_agent: ada, ...sealedFor("bob"), ...overrides };
    return bus.sendMessage({ ...("to" in overrides ? {} : { to_agent: bob }), ...fields });
  };

  describe(`${name}: keys`, () => {
    it("shows what an agent has published, with the fingerprint", async () => {
      await using hive = await openSealing();
      const shown = await hive.bus.getAgentKeys({ agent_id: bob });
      assert.deepEqual(shown, { agent_id: bob, keys: keys.bob, fingerprint: await fingerprint(keys.bob) });
      assert.deepEqual((await hive.bus.getAgent({ agent_id: bob })).keys, keys.bob);
      await rejectsWith(hive.bus.getAgentKeys({ agent_id: cleo }), "key_unknown", /cleo has published no keys/);
      await rejectsWith(hive.bus.getAgentKeys({ agent_id: nobody }), "agent_not_found");
    });

    it("refuses a key under another's name", async () => {
      await using hive = await openSealing();
      const forged = { ...keys.bob, encryption: { ...keys.bob.encryption, kid: keys.ada.encryption.kid } };
      await rejectsWith(hive.bus.registerAgent({ agent_id: bob, keys: forged }), "invalid_input", /thumbprint/);
      assert.deepEqual((await hive.bus.getAgentKeys({ agent_id: bob })).keys, keys.bob);
    });

    it("notes a change, and no registration without one, in the audit log", async () => {
      await using hive = await openSealing();
      await hive.bus.registerAgent({ agent_id: ada, keys: keys.ada });
      await hive.bus.registerAgent({ agent_id: ada });
      const { entries } = await hive.bus.readAudit({ event: "agent_keys_changed" });
      assert.deepEqual(
        entries.map((it) => [it.actor, it.detail]),
        [
          ["operator", { agent_id: bob, fingerprint: await fingerprint(keys.bob) }],
          ["operator", { agent_id: ada, fingerprint: await fingerprint(keys.ada) }],
        ],
      );
    });
  });

  describe(`${name}: a sealed message`, () => {
    it("is delivered as it was sent, without content", async () => {
      await using hive = await openSealing();
      const seal = sealedFor("bob").sealed;
      const sent = await sealed(hive.bus, { sealed: seal });
      const [delivery] = await claim(hive.bus);
      assert.deepEqual([sent.content, sent.metadata, sent.sealed], ["", {}, seal]);
      assert.deepEqual(delivery?.message, sent);
    });

    it("sent again with the same seal is the same message, with another one it is refused", async () => {
      await using hive = await openSealing();
      const id = messageId();
      const first = await sealed(hive.bus, { id });
      assert.deepEqual(await sealed(hive.bus, { id }), first);
      const other = { ...sealedFor("bob").sealed, ciphertext: "b3RoZXI" };
      await rejectsWith(sealed(hive.bus, { id, sealed: other }), "idempotency_conflict");
      await rejectsWith(send(hive.bus, { id }), "idempotency_conflict");
      // Also once bob has other keys: it was accepted before.
      await hive.bus.registerAgent({ agent_id: bob, keys: keys.cleo });
      assert.deepEqual(await sealed(hive.bus, { id }), first);
    });

    it("names its id and sender, says nothing beside the seal, and goes where it can be opened", async () => {
      await using hive = await openSealing();
      const refused = async (overrides: object, message: RegExp) =>
        rejectsWith(sealed(hive.bus, overrides), "invalid_input", message);
      // The client gives every message an id.
      if (!name.includes("WebSocket")) await refused({ id: undefined }, /its `id`/);
      await refused({ from_agent: undefined }, /`from_agent`/);
      await refused({ metadata: { a: 1 } }, /no metadata/);
      await refused({ to: { capability: "rust" } }, /capability/);
      await refused({ offline: "reroute" }, /rerouted/);
      await refused({ sealed: aConversationSeal }, /conversation_id/);
      const both = { ...sealedFor("bob"), id: messageId(), from_agent: ada, to_agent: bob, content: "x" };
      await rejectsWith(hive.bus.sendMessage(both), "invalid_input", /exactly one of `content` and `sealed`/);
      const neither = { from_agent: ada, to_agent: bob };
      await rejectsWith(hive.bus.sendMessage(neither), "invalid_input", /exactly one of `content` and `sealed`/);
      assert.deepEqual(await claim(hive.bus), []);
    });

    it("is refused where its form is not the one allowed", async () => {
      await using hive = await openSealing();
      const whole = sealedFor("bob").sealed;
      const [recipient] = whole.recipients;
      const misshapen = [
        { ...whole, extra: 1 },
        { ...whole, iv: "short" },
        { ...whole, recipients: [] },
        { ...whole, ciphertext: "not base64url!" },
        { ...whole, recipients: [{ ...recipient, header: { ...recipient?.header, alg: "none" } }] },
      ];
      for (const it of misshapen) {
        // In this process nobody checks schemas: that is the server's part.
        if (name.includes("in process")) continue;
        await rejectsWith(sealed(hive.bus, { sealed: it }), "invalid_input");
      }
    });

    it("goes to a group only where each member can open it now", async () => {
      await using hive = await openSealing();
      const to = { group: "crew" };
      const first = await sealed(hive.bus, { to, ...sealedFor("bob") });
      assert.equal(first.to_agent, "group:crew");
      await publish(hive.bus, "cleo");
      await rejectsWith(sealed(hive.bus, { to, ...sealedFor("bob") }), "sealed_for_others", /cleo/);
      await sealed(hive.bus, { to, ...sealedFor("bob", "cleo") });
      const everyone = { broadcast: true as const };
      await sealed(hive.bus, { to: everyone, ...sealedFor("ada", "bob", "cleo") });
      await rejectsWith(sealed(hive.bus, { to: everyone, ...sealedFor("cleo") }), "sealed_for_others", /bob/);
    });

    it("goes to an agent only where that one can open it now", async () => {
      await using hive = await openSealing();
      await rejectsWith(sealed(hive.bus, sealedFor("cleo")), "sealed_for_others", /bob/);
      await rejectsWith(sealed(hive.bus, { to_agent: cleo, ...sealedFor("cleo") }), "sealed_for_others", /cleo/);
    });

    it("may stand in a batch beside others", async () => {
      await using hive = await openSealing();
      const { sealed: seal } = sealedFor("bob");
      const common = { from_agent: ada, to_agent: bob };
      const { results } = await hive.bus.sendMessages({
        messages: [
          { ...common, id: messageId(), sealed: seal },
          { ...common, id: messageId(), sealed: seal, metadata: {} },
          { ...common, content: "plain" },
        ],
      });
      assert.deepEqual(
        results.map((it) => it.ok),
        [true, false, true],
      );
    });
  });

  describe(`${name}: a sealed conversation`, () => {
    it("takes sealed messages only, between those who take part", async () => {
      await using hive = await openSealing();
      const { bus } = hive;
      await publish(bus, "cleo");
      const conversation = await bus.createConversation({ participants: [ada, bob], sealed: true });
      const conversation_id = conversation.id;
      assert.equal(conversation.sealed, true);
      assert.equal((await bus.getConversation({ conversation_id })).sealed, true);
      await rejectsWith(send(bus, { conversation_id }), "sealed_only", new RegExp(conversation_id));
      const first = await sealed(bus, { conversation_id, sealed: aConversationSeal });
      await rejectsWith(send(bus, { reply_to: first.id }), "sealed_only");
      const toCleo = sealed(bus, { to_agent: cleo, conversation_id, sealed: aConversationSeal });
      await rejectsWith(toCleo, "sealed_for_others", /cleo/);
      const row = { from_agent: ada, to_agent: bob, content: "x", timestamp: "2026-01-01T00:00:00Z", conversation_id };
      await rejectsWith(bus.importMessages({ messages: [row] }), "sealed_only");
      const missing = messageId() as never;
      const nowhere = sealed(bus, { conversation_id: missing, sealed: aConversationSeal });
      await rejectsWith(nowhere, "conversation_not_found");
    });
  });
}
