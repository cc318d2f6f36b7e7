import assert from "node:assert/strict";
import { chmod, copyFile, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { openKeyStore } from "../../src/client/key-store-node.ts";
import { findKeysFolder } from "../../src/client/settings-node.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import { fingerprint, makeAgentKeys, publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { open } from "../../src/crypto/sealed/open.ts";
import { adaKeys, delivered, recipient, sealForBob } from "../crypto/sealed-scene.ts";
import { ada, bob, clockAt, monday_ms, temporaryFolder } from "../support/fixtures.ts";
import { failsWith } from "./fails-with.ts";

async function store() {
  const temporary = await temporaryFolder();
  const clock = clockAt();
  const folder = path.join(temporary.path, "agent-keys");
  const keys = openKeyStore(folder, clock.now);
  const file = path.join(folder, "ada.json");
  return { folder, file, clock, keys, [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose]() };
}

const somebody = async () => publicKeysOf(await makeAgentKeys(monday_ms));

describe("an agent's own keys", () => {
  it("are made once, and the same for every process that asks", async () => {
    await using it = await store();
    assert.deepEqual(await it.keys.keysOf(ada), []);
    const made = await Promise.all(Array.from({ length: 8 }, () => openKeyStore(it.folder, it.clock.now).ensure(ada)));
    assert.equal(new Set(made.map((keys) => keys.signing.kid)).size, 1);
    assert.deepEqual(await it.keys.ensure(ada), made[0]);
    assert.notDeepEqual(await it.keys.ensure(bob), made[0]);
  });

  it("are for their owner's eyes alone, and leave nothing else behind", async () => {
    await using it = await store();
    await it.keys.ensure(ada);
    assert.equal((await stat(it.file)).mode & 0o777, 0o600);
    assert.equal((await stat(it.folder)).mode & 0o777, 0o700);
    assert.deepEqual(await readdir(it.folder), ["ada.json"]);
  });

  it("are not used where others could have read or changed them", async () => {
    await using it = await store();
    await it.keys.ensure(ada);
    for (const mode of [0o640, 0o604, 0o620]) {
      await chmod(it.file, mode);
      await assert.rejects(it.keys.ensure(ada), failsWith("invalid_input", /chmod 600/));
    }
  });

  it("stay readable through rotation, and none is lost when several rotate at once", async () => {
    await using it = await store();
    const first = await it.keys.ensure(ada);
    const made = await Promise.all(Array.from({ length: 5 }, () => openKeyStore(it.folder, it.clock.now).rotate(ada)));
    const all = await it.keys.keysOf(ada);
    assert.deepEqual(
      new Set(all.map((keys) => keys.signing.kid)),
      new Set([first, ...made].map((keys) => keys.signing.kid)),
    );
    assert.equal(all.at(-1)?.signing.kid, first.signing.kid);
  });

  it("open mail that was sealed before a rotation, until they are forgotten", async () => {
    await using it = await store();
    const early = await it.keys.ensure(bob);
    const sealed = await sealForBob({ recipients: [recipient("bob", early)] });
    const sender_keys = [publicKeysOf(adaKeys)];
    const openNow = async () => open(sealed, delivered(), { own_keys: await it.keys.keysOf(bob), sender_keys });
    it.clock.advance(1_000);
    const late = await it.keys.rotate(bob);
    assert.equal((await openNow()).payload.content, "the build is green");
    assert.equal(await it.keys.forget(bob, monday_ms + 1_000), 0);
    assert.equal(await it.keys.forget(bob, monday_ms + 1_001), 1);
    assert.deepEqual(await it.keys.keysOf(bob), [late]);
    await assert.rejects(openNow(), failsWith("key_unknown", /present key/));
    assert.equal((await readFile(path.join(it.folder, "bob.json"), "utf8")).includes(early.encryption.d), false);
  });

  it("never forget the present ones, nor make a file where there is none", async () => {
    await using it = await store();
    assert.equal(await it.keys.forget(ada, Number.MAX_SAFE_INTEGER), 0);
    await assert.rejects(stat(it.file), /ENOENT/);
    const present = await it.keys.ensure(ada);
    assert.equal(await it.keys.forget(ada, Number.MAX_SAFE_INTEGER), 0);
    assert.deepEqual(await it.keys.keysOf(ada), [present]);
  });

  it("are refused where the file is damaged or another agent's", async () => {
    await using it = await store();
    await it.keys.ensure(ada);
    await copyFile(it.file, path.join(it.folder, "bob.json"));
    await assert.rejects(it.keys.ensure(bob), failsWith("invalid_input", /another agent/));
    await writeFile(it.file, "{");
    await assert.rejects(it.keys.rotate(ada), failsWith("invalid_input", /no JSON/));
    await writeFile(it.file, '{"agent_id":"ada","keys":[{}]}');
    await assert.rejects(it.keys.ensure(ada), failsWith("invalid_input", /damaged/));
    assert.equal(await readFile(it.file, "utf8"), '{"agent_id":"ada","keys":[{}]}');
  });

  it("outlive a process that died while it wrote", async () => {
    await using it = await store();
    const present = await it.keys.ensure(ada);
    await writeFile(`${it.file}.tmp`, '{"agent');
    await writeFile(`${it.file}.lock`, "");
    const long_ago = new Date(Date.now() - 60_000);
    await utimes(`${it.file}.lock`, long_ago, long_ago);
    assert.deepEqual(await it.keys.ensure(ada), present);
    const rotated = await it.keys.rotate(ada);
    assert.deepEqual(await it.keys.keysOf(ada), [rotated, present]);
    assert.deepEqual(await readdir(it.folder), ["ada.json"]);
  });

  it("are not waited for without end where another process holds the lock", async () => {
    await using it = await store();
    await it.keys.ensure(ada);
    await writeFile(`${it.file}.lock`, "");
    await assert.rejects(it.keys.rotate(ada), failsWith("unavailable", /another process holds/));
  });

  it("never lie outside their folder", async () => {
    await using it = await store();
    for (const name of ["../ada", "a/b", "", ".ada", "ada\0"]) {
      await assert.rejects(it.keys.ensure(name as AgentId), failsWith("invalid_input", /no agent's id/));
    }
  });
});

describe("what is known of another's keys", () => {
  it("is what was seen first, and only that", async () => {
    await using it = await store();
    const [right, wrong] = [await somebody(), await somebody()];
    assert.deepEqual(await it.keys.trusted(bob), []);
    assert.deepEqual(await it.keys.verify(bob, right), [right]);
    assert.deepEqual(await it.keys.verify(bob, { ...right, created_at: "2026-02-02T00:00:00Z" }), [right]);
    const both = new RegExp(`${await fingerprint(wrong)}.*${await fingerprint(right)}`);
    await assert.rejects(it.keys.verify(bob, wrong), failsWith("key_changed", both));
    for (const part of ["encryption", "signing"] as const) {
      const half = { ...right, [part]: wrong[part] };
      await assert.rejects(it.keys.verify(bob, half), failsWith("key_changed", /trust the new one/));
    }
    assert.deepEqual(await it.keys.trusted(bob), [right]);
  });

  it("changes only on purpose, and keeps the earlier keys for earlier mail", async () => {
    await using it = await store();
    const [early, late] = [await somebody(), await somebody()];
    await it.keys.verify(bob, early);
    assert.deepEqual(await it.keys.trust(bob, late), [late, early]);
    assert.deepEqual(await it.keys.verify(bob, late), [late, early]);
    await assert.rejects(it.keys.verify(bob, early), failsWith("key_changed", /./));
    assert.deepEqual(await it.keys.trust(bob, early), [early, late]);
    await it.keys.distrust(bob);
    assert.deepEqual(await it.keys.verify(bob, late), [late]);
  });

  it("is one of two keys where two processes see different ones first", async () => {
    await using it = await store();
    const shown = await Promise.all([1, 2, 3, 4].map(somebody));
    const seen = await Promise.allSettled(shown.map((keys) => openKeyStore(it.folder, it.clock.now).verify(bob, keys)));
    assert.equal(seen.filter((result) => result.status === "fulfilled").length, 1);
    assert.equal((await it.keys.trusted(bob)).length, 1);
  });

  it("is nothing where the key published is not the one that its id names", async () => {
    await using it = await store();
    const [right, wrong] = [await somebody(), await somebody()];
    const false_keys = { ...right, signing: { ...right.signing, x: wrong.signing.x } };
    await assert.rejects(it.keys.verify(bob, false_keys), failsWith("invalid_input", /publish/));
    await assert.rejects(it.keys.trust(bob, false_keys), failsWith("invalid_input", /publish/));
    assert.deepEqual(await it.keys.trusted(bob), []);
  });

  it("lies apart from the agent's own keys", async () => {
    await using it = await store();
    await it.keys.verify("ada" as AgentId, await somebody());
    await it.keys.ensure("known" as AgentId);
    assert.deepEqual(await it.keys.keysOf(ada), []);
    assert.deepEqual((await readdir(it.folder)).sort(), ["known", "known.json"]);
    assert.equal((await stat(path.join(it.folder, "known", "ada.json"))).mode & 0o777, 0o600);
  });
});

describe("the folder of keys", () => {
  it("is the one given, else the environment's, else in the user's configuration", () => {
    assert.equal(findKeysFolder("/given", { HIVEPOST_KEYS_DIR: "/set" }), "/given");
    assert.equal(findKeysFolder(undefined, { HIVEPOST_KEYS_DIR: "/set" }), "/set");
    assert.equal(findKeysFolder(undefined, { XDG_CONFIG_HOME: "/xdg" }), "/xdg/hivepost/agent-keys");
    assert.match(findKeysFolder(undefined, {}), /\/\.config\/hivepost\/agent-keys$/);
  });
});
