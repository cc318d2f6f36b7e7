import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { openOutbox } from "../../src/client/outbox.ts";
import { openOutboxFile } from "../../src/client/outbox-file-node.ts";
import { findOutboxKeyFile } from "../../src/client/settings-node.ts";
import { BusError } from "../../src/contract/errors.ts";
import { messageId, temporaryFolder } from "../support/fixtures.ts";
import { failsWith } from "./fails-with.ts";
import { canaries, filesWith, fill, inDatabase, saying, scene, startOpener } from "./outbox-folder.ts";

async function bytesOf(folder: string): Promise<Map<string, string>> {
  const files = await readdir(folder);
  return new Map(
    await Promise.all(
      files.map(async (it) => [it, (await readFile(path.join(folder, it))).toString("base64")] as const),
    ),
  );
}

describe("what lies in the folder of an outbox", () => {
  it("shows nothing of a message, nor of what the server said to it, at any moment", async () => {
    await using folder = await temporaryFolder();
    const { open, office, outboxes } = await scene(folder);
    const outbox = open();
    for (let n = 0; n < 50; n++) {
      await outbox.send(saying(String(n)));
      if (n % 10 === 0) assert.deepEqual(await filesWith(outboxes, canaries), [], `after ${n}`);
    }
    await outbox[Symbol.asyncDispose]();
    const refusing = {
      getMessage: office.client.getMessage,
      async sendMessage() {
        throw new BusError("invalid_input", "content: expected something else, got CANARY");
      },
    };
    office.state.up = true;
    const refused = openOutbox({ ...(await scene(folder)), client: refusing });
    await refused.flush();
    assert.match(refused.refused()[0]?.error.message ?? "", /CANARY/);
    assert.deepEqual(await filesWith(outboxes, canaries), [], "refused");
    await refused[Symbol.asyncDispose]();
    assert.deepEqual(await filesWith(outboxes, canaries), [], "closed");
    assert.deepEqual(await filesWith(path.join(folder.path, "keys"), canaries), []);
  });

  it("never has the same key and nonce twice, over restarts and however often a message is queued", async () => {
    await using folder = await temporaryFolder();
    const { open, file } = await scene(folder);
    const seen = new Set<string>();
    let records = 0;
    for (let restart = 0; restart < 12; restart++) {
      await fill(
        open,
        Array.from({ length: 600 }, () => "the same"),
      );
      inDatabase(file, (database) => {
        for (const row of database.prepare("SELECT sealed_message FROM outbox").all()) {
          seen.add(
            Buffer.from((row as { sealed_message: Uint8Array }).sealed_message.subarray(1, 29)).toString("latin1"),
          );
          records += 1;
        }
        database.exec("DELETE FROM outbox");
      });
    }
    assert.deepEqual([seen.size, records], [7_200, 7_200]);
  });
});

describe("the key of an outbox", () => {
  it("is made at the first use, for its owner alone, and serves ever after", async () => {
    await using folder = await temporaryFolder();
    const { open, key_file, office } = await scene(folder);
    await fill(open, ["1"]);
    const made = await readFile(key_file, "utf8");
    assert.match(made, /^[A-Za-z0-9+/]{43}=\n$/);
    assert.equal((await stat(key_file)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(path.dirname(key_file)), ["outbox.key"]);

    office.state.up = true;
    await using outbox = open();
    await outbox.flush();
    assert.equal(office.arrivals()[0]?.content, "CANARY 1");
    assert.equal(await readFile(key_file, "utf8"), made);
  });

  it("is named by the option, the environment, or the user's configuration folder, in this order", () => {
    const environment = { HIVEPOST_OUTBOX_KEY_FILE: "/env/key", XDG_CONFIG_HOME: "/config" };
    assert.equal(findOutboxKeyFile("/given", environment), "/given");
    assert.equal(findOutboxKeyFile(undefined, environment), "/env/key");
    assert.equal(findOutboxKeyFile(undefined, { XDG_CONFIG_HOME: "/config" }), "/config/hivepost/outbox.key");
    assert.equal(findOutboxKeyFile(undefined, {}), path.join(homedir(), ".config", "hivepost", "outbox.key"));
  });

  for (const [what, spoil, message] of [
    ["missing", (file: string) => rm(file), /outbox\.key is missing.*HIVEPOST_OUTBOX_KEY_FILE/],
    ["another", (file: string) => writeFile(file, Buffer.alloc(32, 7).toString("base64")), /does not hold the key/],
    ["cut short", (file: string) => writeFile(file, Buffer.alloc(31).toString("base64")), /31 bytes long/],
    ["no key", (file: string) => writeFile(file, "SECRET pass phrase"), /is not base64/],
    ["empty", (file: string) => writeFile(file, ""), /0 bytes long/],
    ["enormous", (file: string) => writeFile(file, "A".repeat(5_000)), /no key file/],
    ["a folder", (file: string) => rm(file).then(() => mkdir(file)), /no key file/],
  ] as const) {
    it(`is refused where it is ${what}, and nothing is touched`, async () => {
      await using folder = await temporaryFolder();
      const { open, key_file, outboxes, office } = await scene(folder);
      const [id] = await fill(open, ["precious"]);
      const key = await readFile(key_file);
      const before = await bytesOf(outboxes);

      await spoil(key_file);
      assert.throws(
        () => open(),
        (error) => {
          assert.ok(!/SECRET|precious/.test(inspect(error, { depth: 9 })));
          return failsWith("key_unavailable", message)(error);
        },
      );
      assert.deepEqual(await bytesOf(outboxes), before);

      await rm(key_file, { recursive: true, force: true });
      await writeFile(key_file, key);
      office.state.up = true;
      await using outbox = open();
      await outbox.flush();
      assert.deepEqual(
        office.arrivals().map((it) => it.id),
        [id],
      );
    });
  }

  it("may not lie beside the outbox, by whatever way", async () => {
    await using folder = await temporaryFolder();
    const { open, outboxes } = await scene(folder);
    await symlink(outboxes, path.join(folder.path, "elsewhere"));
    for (const place of ["outbox", "elsewhere"]) {
      const key_file = path.join(folder.path, place, "outbox.key");
      assert.throws(() => open({ key_file }), failsWith("key_unavailable", /lies beside the outbox/));
    }
    assert.deepEqual(await readdir(outboxes), []);
  });

  it("is not left readable by others", async () => {
    await using folder = await temporaryFolder();
    const { open, key_file } = await scene(folder);
    await fill(open, ["1"]);
    await chmod(key_file, 0o644);
    await fill(open, ["2"]);
    assert.equal((await stat(key_file)).mode & 0o777, 0o600);
  });

  it("says why it cannot be made", async () => {
    await using folder = await temporaryFolder();
    const { open } = await scene(folder);
    await writeFile(path.join(folder.path, "file"), "");
    const inFile = { key_file: path.join(folder.path, "file", "keys", "outbox.key") };
    assert.throws(() => open(inFile), failsWith("key_unavailable", /(cannot be read|cannot be used)/));
    await mkdir(path.join(folder.path, "dangling"));
    await symlink(path.join(folder.path, "nowhere"), path.join(folder.path, "dangling", "outbox.key"));
    const dangling = { key_file: path.join(folder.path, "dangling", "outbox.key") };
    assert.throws(() => open(dangling), failsWith("key_unavailable", /outbox\.key/));
  });

  it("is one for processes that open a new outbox at the same moment", async () => {
    await using folder = await temporaryFolder();
    const { file, key_file, open } = await scene(folder);
    const openers = Array.from({ length: 4 }, () => startOpener(file, key_file).ended);
    assert.deepEqual(await Promise.all(openers), [0, 0, 0, 0]);
    await fill(open, ["1"]);
    assert.deepEqual(await readdir(path.dirname(key_file)), ["outbox.key"]);
  });
});

describe("a sealed record", () => {
  it("is refused with any bit flipped, alone, and says so where the refused ones are", async () => {
    await using folder = await temporaryFolder();
    const { file, key_file } = await scene(folder);
    using opened = openOutboxFile(file, key_file);
    const ids = [messageId(), messageId(), messageId()] as const;
    opened.add(
      ids.map((id) => ({ ...saying("short"), id })),
      1,
    );
    const [lane = ""] = opened.lanes();
    const [, victim] = ids;
    const { length } = sealedOf(file, victim);
    for (let bit = 0; bit < length * 8; bit++) {
      flipInRow(file, victim, bit);
      const found = opened.queued(lane, 0, 10).map((it) => ("damage" in it ? it.damage.code : it.message.id));
      assert.deepEqual(found, [ids[0], "content_damaged", ids[2]], `bit ${bit}`);
      flipInRow(file, victim, bit);
    }
  });

  it("does not hold up the others when it was damaged, and can be discarded and sent again", async () => {
    await using folder = await temporaryFolder();
    const { open, file, office } = await scene(folder);
    const [, victim = ""] = await fill(open, ["first", "victim", "last"]);
    flipInRow(file, victim, 300);
    office.state.up = true;
    await using outbox = open();
    // Before the outbox has come across it, as after.
    await assert.rejects(outbox.send({ ...saying("victim"), id: victim }), failsWith("content_damaged", /discard it/));
    const { queued, refused } = await outbox.flush();
    assert.deepEqual([queued, refused], [0, 1]);
    const said = () => office.arrivals().map((it) => it.content);
    assert.deepEqual(said(), ["CANARY first", "CANARY last"]);
    const [damaged] = outbox.refused();
    assert.deepEqual([damaged?.message, damaged?.error.code], [{ id: victim }, "content_damaged"]);

    assert.equal(outbox.requeue([victim]), 1);
    await outbox.flush();
    assert.equal(outbox.status().refused, 1);
    assert.equal(outbox.discard([victim]), 1);
    await outbox.send({ ...saying("victim"), id: victim });
    await outbox.flush();
    assert.deepEqual(said(), ["CANARY first", "CANARY last", "CANARY victim"]);
  });

  it("does not open in the place of another, in another outbox, or as another part", async () => {
    await using folder = await temporaryFolder();
    const { open, file, office, outboxes } = await scene(folder);
    const [one = "", two = ""] = await fill(open, ["one", "two"]);
    const elsewhere = path.join(outboxes, "second.db");
    const [there = ""] = await fill(() => open({ file: elsewhere }), ["there"]);
    const [first, second] = [sealedOf(file, one), sealedOf(file, two)];
    putSealed(file, one, second);
    putSealed(file, two, first);
    putSealed(elsewhere, there, first);
    inDatabase(elsewhere, (it) => it.prepare("UPDATE outbox SET id = ?").run(one));

    office.state.up = true;
    for (const place of [file, elsewhere]) {
      await using outbox = open({ file: place });
      await outbox.flush();
      assert.ok(outbox.refused().every((it) => it.error.code === "content_damaged"));
    }
    assert.deepEqual(office.arrivals(), []);

    inDatabase(file, (it) => it.exec("UPDATE outbox SET sealed_message = sealed_error"));
    await using outbox = open();
    assert.deepEqual(
      outbox.refused().map((it) => it.message),
      [{ id: one }, { id: two }],
    );
    inDatabase(file, (it) => it.exec("UPDATE outbox SET sealed_error = x'00'"));
    assert.equal(outbox.refused()[0]?.error.message, "what the server said was damaged");
  });

  it("is never handed over changed, whatever bit of the file has flipped", async () => {
    await using folder = await temporaryFolder();
    const { open, file, outboxes, key_file } = await scene(folder);
    const texts = Array.from({ length: 20 }, (_, n) => `number ${n}`);
    const ids = await fill(open, texts);
    const bytes = await readFile(file);
    const known = new Map(ids.map((id, n) => [id, `CANARY number ${n}`]));
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: bytes.length * 8 - 1 }), { minLength: 1, maxLength: 3 }),
        async (bits) => {
          const damaged = Buffer.from(bytes);
          for (const bit of bits) damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          const copy = path.join(outboxes, `copy-${runs++}.db`);
          await writeFile(copy, damaged);
          try {
            using opened = openOutboxFile(copy, key_file);
            for (const lane of opened.lanes()) {
              for (const it of opened.queued(lane, 0, 100)) {
                if (!("damage" in it)) assert.equal(it.message.content, known.get(it.message.id));
              }
            }
          } catch (error) {
            assert.ok(error instanceof BusError, inspect(error));
            assert.match(error.code, /^(database_damaged|database_newer|key_unavailable|unavailable|content_damaged)$/);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("an outbox that has lost its id", () => {
  it("is damaged", async () => {
    await using folder = await temporaryFolder();
    const { open, file } = await scene(folder);
    await fill(open, ["1"]);
    inDatabase(file, (it) => it.exec("DELETE FROM sealing"));
    assert.throws(() => open(), failsWith("database_damaged", /has lost its id/));
  });
});

function sealedOf(file: string, id: string): Uint8Array {
  return inDatabase(file, (database) => {
    const row = database.prepare("SELECT sealed_message FROM outbox WHERE id = ?").get(id);
    return (row as { sealed_message: Uint8Array }).sealed_message;
  });
}

function putSealed(file: string, id: string, sealed: Uint8Array): void {
  inDatabase(file, (it) => it.prepare("UPDATE outbox SET sealed_message = ? WHERE id = ?").run(sealed, id));
}

function flipInRow(file: string, id: string, bit: number): void {
  const sealed = sealedOf(file, id);
  sealed[bit >> 3] = (sealed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  putSealed(file, id, sealed);
}
