import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { type MasterKeys, openMasterKeys } from "../../src/crypto/master-keys.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/fixtures.ts";
import { chance } from "./keys.ts";

type Scene = AsyncDisposable & {
  readonly file: string;
  readonly made: readonly string[];
  /** As a server that starts now has them. */
  open(key?: string): MasterKeys;
  files(): Promise<string[]>;
};

async function scene(): Promise<Scene> {
  const folder: TemporaryFolder = await temporaryFolder();
  const data_dir = path.join(folder.path, "hive");
  const file = path.join(folder.path, "keys", "hive.key");
  await mkdir(data_dir);
  const made: string[] = [];
  return {
    file,
    made,
    open: (key) => openMasterKeys({ key, file, data_dir, randomBytes: chance, onMade: (it) => made.push(it) }),
    files: async () => (await readdir(path.dirname(file))).sort(),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

describe("the master key of a hive", () => {
  it("is made for a new hive, said to be, and found again", async () => {
    await using it = await scene();
    const first = await it.open().current(undefined);
    assert.deepEqual(it.made, [it.file]);
    assert.equal((await it.open().current(first.id)).id, first.id);
    assert.deepEqual([it.made, await it.files()], [[it.file], ["hive.key"]]);
  });

  it("is never made anew where data keys are wrapped already", async () => {
    await using it = await scene();
    const { id } = await it.open().current(undefined);
    await rm(it.file);
    await assert.rejects(it.open().current(id), { code: "key_unavailable", message: /is missing/ });
    assert.deepEqual(await it.files(), []);
  });

  it("is replaced in its file, and the old one is kept beside it under its id", async () => {
    await using it = await scene();
    const keys = it.open();
    const old = await keys.current(undefined);
    const next = await keys.next();
    assert.match(next.provider.source, /hive\.key$/);
    await next.settle();
    assert.deepEqual(await it.files(), ["hive.key", `hive.key.${old.id}`]);
    assert.equal((await it.open().current(next.provider.id)).id, next.provider.id);
    assert.equal((await it.open().current(old.id)).id, old.id, "as a backup from before needs it");
  });

  it("is found by its id wherever a replacement was cut short", async () => {
    await using it = await scene();
    const keys = it.open();
    const old = await keys.current(undefined);
    const { provider } = await keys.next();
    const finds = async (id: string) => assert.equal((await it.open().current(id)).id, id);
    // Before the data keys were wrapped by it, and after.
    await finds(old.id);
    await finds(provider.id);
    // Between the two renamings of settling.
    await rename(it.file, `${it.file}.${old.id}`);
    await finds(old.id);
    await finds(provider.id);
    // And the next replacement goes on from there, without losing any.
    const again = it.open();
    await again.current(provider.id);
    const third = await again.next();
    await third.settle();
    for (const id of [old.id, provider.id, third.provider.id]) await finds(id);
  });

  it("keeps the key that lies in the file under its own id, though another is in use", async () => {
    await using it = await scene();
    const keys = it.open();
    const old = await keys.current(undefined);
    await (await keys.next()).settle();
    const newer = await it.open().current("unknown");
    const restored = it.open();
    await restored.current(old.id);
    await (await restored.next()).settle();
    for (const id of [old.id, newer.id]) assert.equal((await it.open().current(id)).id, id);
  });

  it("goes over to another file, made there or taken as it is", async () => {
    await using it = await scene();
    const keys = it.open();
    await keys.current(undefined);
    const other = path.join(path.dirname(it.file), "other.key");
    const made = await keys.next(other);
    await made.settle();
    assert.deepEqual(await it.files(), ["hive.key", "other.key"]);
    await copyFile(other, `${other}.copy`);
    assert.equal((await keys.next(`${other}.copy`)).provider.id, made.provider.id);
  });

  it("goes over to a file that is named by its whole path, and to no other", async () => {
    await using it = await scene();
    const keys = it.open();
    await keys.current(undefined);
    for (const name of ["other.key", "./other.key", "../other.key", "~/other.key", "/a\0b"]) {
      await assert.rejects(keys.next(name), { code: "invalid_input", message: /is no whole path/ });
    }
    assert.deepEqual(await it.files(), ["hive.key"]);
  });

  it("from the environment wins over the file, and cannot be replaced in place", async () => {
    await using it = await scene();
    const keys = it.open(Buffer.alloc(32, 7).toString("base64"));
    const { source } = await keys.current(undefined);
    assert.equal(source, "the key in HIVEPOST_MASTER_KEY");
    await assert.rejects(keys.next(), { code: "invalid_input", message: /HIVEPOST_MASTER_KEY_FILE/ });
    const file = path.join(path.dirname(it.file), "from-now-on.key");
    assert.match((await keys.next(file)).provider.source, /from-now-on\.key$/);
    assert.deepEqual(it.made, []);
  });

  it("is not looked for relative to wherever the server was started", async () => {
    await using it = await scene();
    const keys = it.open();
    await keys.current(undefined);
    await assert.rejects(keys.next("other.key"), { code: "invalid_input", message: /whole path/ });
  });

  it("is not taken from within the data folder", async () => {
    await using it = await scene();
    const keys = it.open();
    await keys.current(undefined);
    await assert.rejects(keys.next(path.join(path.dirname(it.file), "..", "hive", "x.key")), {
      code: "key_unavailable",
    });
  });
});
