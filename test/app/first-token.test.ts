import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { openFirstToken } from "../../src/app/first-token.ts";
import type { RandomBytes } from "../../src/base/uuid.ts";
import { makeToken } from "../../src/crypto/tokens.ts";
import { temporaryFolder } from "../support/fixtures.ts";

const chance: RandomBytes = (bytes) => crypto.getRandomValues(bytes);

describe("the first admin token", () => {
  it("is made once, for its owner alone, and opens everything", async () => {
    await using folder = await temporaryFolder();
    const first = await openFirstToken(folder.path, chance);
    const again = await openFirstToken(folder.path, chance);
    assert.equal(again.token, first.token);
    assert.equal((await readFile(path.join(folder.path, "admin.token"), "utf8")).trim(), first.token);
    assert.equal((await stat(path.join(folder.path, "admin.token"))).mode & 0o777, 0o600);
    assert.deepEqual(again.authenticate(first.token), { actor: "operator", scopes: ["admin"] });
  });

  it("is no other, however it is presented", async () => {
    await using folder = await temporaryFolder();
    const { token, authenticate } = await openFirstToken(folder.path, chance);
    for (const other of ["", "x", `${token} `, token.slice(0, -1), makeToken("admin", chance).text]) {
      assert.equal(authenticate(other), undefined);
    }
  });

  it("is closed to others again where somebody opened its file", async () => {
    await using folder = await temporaryFolder();
    await openFirstToken(folder.path, chance);
    const file = path.join(folder.path, "admin.token");
    await chmod(file, 0o644);
    await openFirstToken(folder.path, chance);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it("is not guessed from a file that holds none", async () => {
    await using folder = await temporaryFolder();
    await writeFile(path.join(folder.path, "admin.token"), "hvp_admin_half");
    await assert.rejects(openFirstToken(folder.path, chance), /holds no whole token; move it away/);
  });

  it("is whole or not there: what a crash left half written is written anew", async () => {
    await using folder = await temporaryFolder();
    await writeFile(path.join(folder.path, "admin.token.new"), "hvp_adm");
    await openFirstToken(folder.path, chance);
    assert.deepEqual(await readdir(folder.path), ["admin.token"]);
  });

  it("lets an error of the file system through", async () => {
    await using folder = await temporaryFolder();
    await mkdir(path.join(folder.path, "admin.token"));
    await assert.rejects(openFirstToken(folder.path, chance), { code: "EISDIR" });
  });
});
