import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { type Access, openAccess } from "../../src/app/access.ts";
import { openFirstToken } from "../../src/app/first-token.ts";
import { silentLog } from "../../src/base/log.ts";
import type { RandomBytes } from "../../src/base/uuid.ts";
import { makeToken } from "../../src/crypto/tokens.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { clockAt, temporaryFolder, testPolicy } from "../support/fixtures.ts";

const chance: RandomBytes = (bytes) => crypto.getRandomValues(bytes);

function openTokens(): Promise<Access> {
  const clock = clockAt();
  const { tokens } = openMemoryStore({ clock, policy: testPolicy() });
  return openAccess({ tokens, clock, randomBytes: chance, log: silentLog });
}

describe("the first admin token", () => {
  it("is made once, for its owner alone, and opens everything", async () => {
    await using folder = await temporaryFolder();
    await using access = await openTokens();
    const first = await openFirstToken(folder.path, access, chance);
    assert.equal(await openFirstToken(folder.path, access, chance), first);
    assert.equal((await readFile(path.join(folder.path, "admin.token"), "utf8")).trim(), first);
    assert.equal((await stat(path.join(folder.path, "admin.token"))).mode & 0o777, 0o600);
    const { actor, scopes } = access.authenticate(first) ?? {};
    assert.deepEqual({ actor, scopes }, { actor: "operator", scopes: ["admin"] });
  });

  it("is no other, however it is presented", async () => {
    await using folder = await temporaryFolder();
    await using access = await openTokens();
    const token = await openFirstToken(folder.path, access, chance);
    for (const other of ["", "x", `${token} `, token.slice(0, -1), makeToken("admin", chance).text]) {
      assert.equal(access.authenticate(other), undefined);
    }
  });

  it("is closed to others again where somebody opened its file", async () => {
    await using folder = await temporaryFolder();
    await using access = await openTokens();
    await openFirstToken(folder.path, access, chance);
    const file = path.join(folder.path, "admin.token");
    await chmod(file, 0o644);
    await openFirstToken(folder.path, access, chance);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it("is not guessed from a file that holds none", async () => {
    await using folder = await temporaryFolder();
    await using access = await openTokens();
    await writeFile(path.join(folder.path, "admin.token"), "hvp_admin_half");
    await assert.rejects(openFirstToken(folder.path, access, chance), /holds no whole token; move it away/);
  });

  it("is whole or not there: what a crash left half written is written anew", async () => {
    await using folder = await temporaryFolder();
    await using access = await openTokens();
    await writeFile(path.join(folder.path, "admin.token.new"), "hvp_adm");
    await openFirstToken(folder.path, access, chance);
    assert.deepEqual(await readdir(folder.path), ["admin.token"]);
  });

  it("lets an error of the file system through", async () => {
    await using folder = await temporaryFolder();
    await using access = await openTokens();
    await mkdir(path.join(folder.path, "admin.token"));
    await assert.rejects(openFirstToken(folder.path, access, chance), { code: "EISDIR" });
  });
});
