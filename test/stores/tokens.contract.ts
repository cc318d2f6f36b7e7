import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StoredToken } from "../../src/app/ports.ts";
import { toTimestamp } from "../../src/base/time.ts";
import { ada, bob, monday_ms } from "../support/fixtures.ts";
import { type OpenStore, openFor } from "./opened.ts";

export function tokenContract(open: OpenStore): void {
  describe("tokens", () => {
    it("are kept as they were made, the oldest first", async () => {
      await using opened = await openFor(open);
      const { tokens } = opened.store;
      const [one, two] = [aToken("1"), aToken("2", { agent_id: ada, expires_at: toTimestamp(monday_ms + 1_000) })];
      assert.equal(await tokens.add(one, 2), true);
      assert.equal(await tokens.add(two, 2), true);
      assert.deepEqual(await tokens.tokens(), [one, two]);
    });

    it("are limited for an agent by those that still count, also when asked for at once", async () => {
      await using opened = await openFor(open);
      const { tokens } = opened.store;
      const ofAda = (name: string, expires_in_ms = 60_000) =>
        tokens.add(aToken(name, { agent_id: ada, expires_at: toTimestamp(monday_ms + expires_in_ms) }), 2);
      assert.deepEqual(await Promise.all([ofAda("1"), ofAda("2", 1_000), ofAda("3")]), [true, true, false]);
      assert.equal(await tokens.add(aToken("4", { agent_id: bob }), 2), true);
      assert.equal(await tokens.add(aToken("5"), 0), true);
      opened.clock.advance(1_000);
      assert.equal(await ofAda("6"), true);
      assert.equal(await ofAda("7"), false);
      await tokens.revoke(keyId("1"));
      assert.equal(await ofAda("8"), true);
    });

    it("are void from the moment of their revocation, the first one", async () => {
      await using opened = await openFor(open);
      const { tokens } = opened.store;
      await tokens.add(aToken("1"), 2);
      const revoked = { ...aToken("1"), revoked_at: toTimestamp(monday_ms) };
      assert.deepEqual(await tokens.revoke(keyId("1")), revoked);
      opened.clock.advance(5_000);
      assert.deepEqual(await tokens.revoke(keyId("1")), revoked);
      assert.deepEqual(await tokens.tokens(), [revoked]);
      assert.equal(await tokens.revoke(keyId("2")), undefined);
    });

    it("know when they were last used", async () => {
      await using opened = await openFor(open);
      const { tokens } = opened.store;
      await tokens.add(aToken("1"), 2);
      const at = toTimestamp(monday_ms + 60_000);
      await tokens.noteUse([
        { key_id: keyId("1"), at },
        { key_id: keyId("2"), at },
      ]);
      await tokens.noteUse([{ key_id: keyId("1"), at: toTimestamp(monday_ms) }]);
      assert.deepEqual(await tokens.tokens(), [{ ...aToken("1"), last_used_at: at }]);
      const revoked_at = toTimestamp(monday_ms);
      const [revoked] = await Promise.all([tokens.revoke(keyId("1")), tokens.noteUse([{ key_id: keyId("1"), at }])]);
      assert.deepEqual(revoked, { ...aToken("1"), last_used_at: at, revoked_at });
      assert.deepEqual(await tokens.tokens(), [revoked]);
    });
  });
}

function keyId(name: string): string {
  return name.padStart(11, "0");
}

function aToken(name: string, about: Partial<StoredToken> = {}): StoredToken {
  return {
    key_id: keyId(name),
    hash: `hash of ${name}`,
    scopes: about.agent_id ? ["agent"] : ["operate"],
    created_at: toTimestamp(monday_ms),
    created_by: "operator",
    ...about,
  };
}
