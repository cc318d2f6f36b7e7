import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Access, openAccess } from "../../src/app/access.ts";
import { silentLog } from "../../src/base/log.ts";
import { toTimestamp } from "../../src/base/time.ts";
import type { RandomBytes } from "../../src/base/uuid.ts";
import type { NewToken } from "../../src/contract/tokens.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { eventually } from "../support/eventually.ts";
import { ada, bob, clockAt, monday_ms, testPolicy } from "../support/fixtures.ts";

const randomBytes: RandomBytes = (bytes) => crypto.getRandomValues(bytes);

async function openTokens() {
  const clock = clockAt();
  const { tokens } = openMemoryStore({ clock, policy: testPolicy() });
  const open = (): Promise<Access> => openAccess({ tokens, clock, randomBytes, log: silentLog });
  return { clock, tokens, open };
}

describe("tokens", () => {
  it("open what they were made for, also after a restart", async () => {
    const { open } = await openTokens();
    const wanted: readonly NewToken[] = [
      { scopes: ["agent"], agent_id: ada },
      { scopes: ["observe"] },
      { scopes: ["admin", "operate"] },
      { scopes: ["observe", "agent"], agent_id: bob },
    ];
    const issued: { key_id: string; token: string }[] = [];
    {
      await using access = await open();
      for (const it of wanted) issued.push(await access.issue(it, "operator"));
    }
    await using access = await open();
    const callers = issued.map(({ token }) => access.authenticate(token));
    assert.deepEqual(
      callers.map((it) => it && { actor: it.actor, scopes: it.scopes, agent_id: it.agent_id }),
      [
        { actor: "ada", scopes: ["agent"], agent_id: ada },
        { actor: `operator:${issued[1]?.key_id}`, scopes: ["observe"], agent_id: undefined },
        { actor: `operator:${issued[2]?.key_id}`, scopes: ["operate", "admin"], agent_id: undefined },
        { actor: "bob", scopes: ["agent", "observe"], agent_id: bob },
      ],
    );
    assert.ok(issued[2]?.token.startsWith("hvp_admin_") && issued[3]?.token.startsWith("hvp_observe_"));
  });

  it("are nowhere but in their maker's hand", async () => {
    const { open, tokens } = await openTokens();
    await using access = await open();
    const { token } = await access.issue({ scopes: ["operate"] }, "operator");
    const secret = token.split("_")[3] ?? "";
    for (const kept of [access.list(), await tokens.tokens(), access]) {
      assert.ok(!JSON.stringify(kept).includes(secret));
    }
  });

  it("end at their time, on what hangs on them too", async () => {
    const { open, clock } = await openTokens();
    await using access = await open();
    const expires_at = toTimestamp(monday_ms + 60_000);
    const { token } = await access.issue({ scopes: ["agent"], agent_id: ada, expires_at }, "operator");
    clock.advance(59_999);
    const caller = access.authenticate(token);
    assert.equal(caller?.voided?.aborted, false);
    clock.advance(1);
    assert.equal(access.authenticate(token), undefined);
    assert.equal(access.isHeld(ada), false);
    await eventually("what hangs on it is cut off", () => caller?.voided?.aborted === true);
  });

  it("are void at once when revoked, and stay so after a restart", async () => {
    const { open } = await openTokens();
    await using access = await open();
    const { token, key_id } = await access.issue({ scopes: ["operate"] }, "operator");
    const caller = access.authenticate(token);
    const revoked = access.revoke(key_id);
    assert.equal(access.authenticate(token), undefined);
    assert.ok((await revoked).revoked_at);
    assert.equal(caller?.voided?.aborted, true);
    assert.ok((await access.revoke(key_id)).revoked_at);
    await using again = await open();
    assert.equal(again.authenticate(token), undefined);
    await assert.rejects(access.revoke("nosuchtoken"), { code: "token_not_found" });
  });

  it("are two for an agent, so that it can go over to a new one", async () => {
    const { open } = await openTokens();
    await using access = await open();
    const wanted: NewToken = { scopes: ["agent"], agent_id: ada };
    const first = await access.issue(wanted, "operator");
    const second = await access.issue(wanted, "operator");
    await assert.rejects(access.issue(wanted, "operator"), { code: "token_limit" });
    assert.ok(access.authenticate(first.token) && access.authenticate(second.token));
    await access.revoke(first.key_id);
    await access.issue(wanted, "operator");
  });

  it("say when they were last used, to the minute", async () => {
    const { open, clock, tokens } = await openTokens();
    {
      await using access = await open();
      const { token } = await access.issue({ scopes: ["operate"] }, "operator");
      clock.advance(125_000);
      access.authenticate(token);
      access.authenticate(token);
      const at = toTimestamp(monday_ms + 120_000);
      assert.deepEqual(
        access.list().map((it) => it.last_used_at),
        [at],
      );
    }
    assert.equal((await tokens.tokens())[0]?.last_used_at, toTimestamp(monday_ms + 120_000));
  });

  it("are refused where what is asked makes no sense", async () => {
    const { open } = await openTokens();
    await using access = await open();
    const past = toTimestamp(monday_ms);
    const senseless: readonly NewToken[] = [
      { scopes: ["agent"] },
      { scopes: ["operate"], agent_id: ada },
      { scopes: ["operate"], expires_at: past },
      { scopes: ["operate"], expires_at: "2026-02-31T00:00:00Z" },
    ];
    for (const it of senseless) await assert.rejects(access.issue(it, "operator"), { code: "invalid_input" });
    assert.deepEqual(access.list(), []);
  });

  it("of one agent are listed alone where that is asked", async () => {
    const { open } = await openTokens();
    await using access = await open();
    const { key_id } = await access.issue({ scopes: ["agent"], agent_id: ada }, "operator");
    const other = await access.issue({ scopes: ["operate"] }, "operator");
    assert.deepEqual(
      access.list(ada).map((it) => it.key_id),
      [key_id],
    );
    assert.deepEqual(
      access.list().map((it) => it.key_id),
      [other.key_id, key_id],
    );
  });

  it("show how they stand, where an unexpected error comes while they are revoked", async () => {
    const { clock, tokens } = await openTokens();
    const failing = { ...tokens, revoke: () => Promise.reject(new Error("a mistake")) };
    await using access = await openAccess({ tokens: failing, clock, randomBytes, log: silentLog });
    const { token, key_id } = await access.issue({ scopes: ["operate"] }, "operator");
    await assert.rejects(access.revoke(key_id), /^Error: a mistake$/);
    assert.equal(access.authenticate(token), undefined);
    assert.equal(access.list()[0]?.revoked_at, undefined);
  });

  it("keep their last use in a revocation that comes before it was written", async () => {
    const { open, clock } = await openTokens();
    await using access = await open();
    const { token, key_id } = await access.issue({ scopes: ["operate"] }, "operator");
    clock.advance(125_000);
    access.authenticate(token);
    assert.equal((await access.revoke(key_id)).last_used_at, toTimestamp(monday_ms + 120_000));
  });

  it("go on working where their last use cannot be written", async () => {
    const { clock, tokens } = await openTokens();
    const failing = { ...tokens, noteUse: () => Promise.reject(new Error("the disk is full")) };
    const access = await openAccess({ tokens: failing, clock, randomBytes, log: silentLog });
    const { token } = await access.issue({ scopes: ["operate"] }, "operator");
    assert.ok(access.authenticate(token));
    await access[Symbol.asyncDispose]();
  });
});
