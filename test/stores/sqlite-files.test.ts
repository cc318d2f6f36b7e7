import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { backupDatabase, checkDatabase, restoreDatabase } from "../../src/stores/sqlite/backup.ts";
import { openConnection } from "../../src/stores/sqlite/connection.ts";
import { asDamage, requireHealthy, verifySum, writeSum } from "../../src/stores/sqlite/damage.ts";
import { lockFolder } from "../../src/stores/sqlite/lock.ts";
import { databaseName, migrate, schemaVersion } from "../../src/stores/sqlite/schema.ts";
import { temporaryFolder } from "../support/fixtures.ts";

const quietly = () => undefined;

/** A hive's database with some messages in it, as a clean stop leaves it. */
function makeDatabase(folder: string, messages = 200): string {
  const file = path.join(folder, databaseName);
  using db = openConnection(file, "writer");
  migrate(db, file);
  db.exec(`INSERT INTO conversations VALUES (1, 'c', '["ada","bob"]', 't', 't', 'active', 1, 0)`);
  for (let i = 1; i <= messages; i++) addMessage(db, i);
  return file;
}

function addMessage(db: DatabaseSync, position: number): void {
  db.prepare(
    `INSERT INTO messages (position, id, from_agent, to_agent, priority, timestamp, provenance, conversation_id, message_type, "when",
       offline, reply_depth, readable_ms, metadata, content)
     VALUES (?, ?, 'ada', 'bob', 'normal', 't', 'agent agent', 'c', 'task', 'turn', 'hold', 0, 0, x'7b7d', ?)`,
  ).run(position, `message-${position}`, new Uint8Array(1_000).fill(120));
  db.prepare("INSERT INTO deliveries (message_position, recipient, agent_id, state) VALUES (?, 0, 'bob', 'ready')").run(
    position,
  );
}

function modeOf(file: string): number {
  return statSync(file).mode & 0o777;
}

function flipBit(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
  writeFileSync(file, bytes);
}

describe("the lock of a data folder", () => {
  it("keeps a second server out, and says which process holds it", async () => {
    await using folder = await temporaryFolder();
    using _held = lockFolder(folder.path);
    assert.throws(() => lockFolder(folder.path), { code: "data_dir_in_use", message: new RegExp(`${process.pid}`) });
  });

  it("is free again once it is let go", async () => {
    await using folder = await temporaryFolder();
    lockFolder(folder.path)[Symbol.dispose]();
    lockFolder(folder.path)[Symbol.dispose]();
  });

  it("falls with its process, however that ends", async () => {
    await using folder = await temporaryFolder();
    const lock = path.resolve("src/stores/sqlite/lock.ts");
    const script = `const { lockFolder } = await import(${JSON.stringify(lock)});
      lockFolder(${JSON.stringify(folder.path)}); console.log("held"); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    assert.throws(() => lockFolder(folder.path), { code: "data_dir_in_use" });
    holder.kill("SIGKILL");
    await once(holder, "exit");
    lockFolder(folder.path)[Symbol.dispose]();
  });
});

describe("the sum of a database", () => {
  it("is content with the file that it was made of", async () => {
    await using folder = await temporaryFolder();
    const file = makeDatabase(folder.path);
    assert.equal(await verifySum(file), false);
    await writeSum(file);
    assert.equal(await verifySum(file), true);
  });

  it("finds any single flipped bit, wherever it is, and a missing end", async () => {
    await using folder = await temporaryFolder();
    const file = makeDatabase(folder.path);
    await writeSum(file);
    const size = statSync(file).size;
    for (const offset of [0, 99, 4_096, Math.floor(size / 2), size - 1]) {
      flipBit(file, offset);
      await assert.rejects(verifySum(file), { code: "database_damaged", message: /hivepost restore/ });
      flipBit(file, offset);
    }
    await verifySum(file);
    truncateSync(file, size - 4_096);
    await assert.rejects(verifySum(file), { code: "database_damaged", message: /bytes/ });
  });

  it("says nothing where it cannot be read itself", async () => {
    await using folder = await temporaryFolder();
    const file = makeDatabase(folder.path, 1);
    writeFileSync(`${file}.sum`, "{}");
    assert.equal(await verifySum(file), false);
    writeFileSync(`${file}.sum`, "not json");
    assert.equal(await verifySum(file), false);
  });
});

describe("a database without a sum", () => {
  it("is refused where its structure is broken", async () => {
    await using folder = await temporaryFolder();
    const file = makeDatabase(folder.path);
    const size = statSync(file).size;
    const bytes = readFileSync(file);
    bytes.fill(0xff, 3 * 4_096, size - 4_096);
    writeFileSync(file, bytes);
    const openAndCheck = () => {
      using db = asDamage(file, () => openConnection(file, "reader"));
      requireHealthy(db, file);
    };
    assert.throws(openAndCheck, { code: "database_damaged", message: new RegExp(databaseName) });
  });
});

describe("a backup", () => {
  it("holds the hive as it was when it began, though another connection writes meanwhile", async () => {
    await using folder = await temporaryFolder();
    const file = makeDatabase(folder.path, 4_000);
    using writer = openConnection(file, "writer");
    let added = 0;
    const seen: number[] = [];
    const target = path.join(folder.path, "backup.db");
    const counts = await backupDatabase(folder.path, target, ({ done, total }) => {
      seen.push(done / total);
      addMessage(writer, 100_000 + added++);
    });
    assert.ok(added > 0, "nothing was written while the backup ran");
    assert.equal(counts.messages, 4_000);
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    );
    using copy = new DatabaseSync(target, { readOnly: true });
    assert.equal(copy.prepare("SELECT COUNT(*) AS n FROM messages").get()?.["n"], 4_000);
    assert.equal(existsSync(`${target}.unfinished`), false);
  });

  it("is refused where there is no hive, or where the target exists", async () => {
    await using folder = await temporaryFolder();
    const target = path.join(folder.path, "backup.db");
    await assert.rejects(backupDatabase(folder.path, target, quietly), { code: "invalid_input", message: /no hive/ });
    makeDatabase(folder.path, 1);
    writeFileSync(target, "precious");
    await assert.rejects(backupDatabase(folder.path, target, quietly), { code: "invalid_input", message: /exists/ });
    assert.equal(readFileSync(target, "utf8"), "precious");
  });

  it("can be restored into an empty folder, and over a hive only by force, which keeps the old one", async () => {
    await using folder = await temporaryFolder();
    await using other = await temporaryFolder();
    makeDatabase(folder.path, 7);
    const target = path.join(folder.path, "backup.db");
    await backupDatabase(folder.path, target, quietly);
    const restored = await restoreDatabase(target, other.path, { force: false });
    assert.deepEqual([restored.counts.messages, restored.moved_to], [7, undefined]);
    await assert.rejects(restoreDatabase(target, other.path, { force: false }), { message: /--force/ });
    const again = await restoreDatabase(target, other.path, { force: true });
    assert.ok(again.moved_to && existsSync(path.join(again.moved_to, databaseName)));
    assert.equal(checkDatabase(other.path, quietly).counts.messages, 7);
  });

  it("is restored over a database that is empty or damaged", async () => {
    for (const text of ["", "this was a database once".repeat(1_000)]) {
      await using folder = await temporaryFolder();
      await using other = await temporaryFolder();
      makeDatabase(folder.path, 3);
      const target = path.join(folder.path, "backup.db");
      await backupDatabase(folder.path, target, quietly);
      writeFileSync(path.join(other.path, databaseName), text);
      const restored = await restoreDatabase(target, other.path, { force: true });
      assert.equal(restored.counts.messages, 3);
    }
  });

  it("is its owner's alone, as is what it becomes, whatever rights a copy of it has on its way", async () => {
    await using folder = await temporaryFolder();
    await using other = await temporaryFolder();
    makeDatabase(folder.path, 3);
    const target = path.join(folder.path, "backup.db");
    await backupDatabase(folder.path, target, quietly);
    assert.equal(modeOf(target), 0o600);
    chmodSync(target, 0o666);
    await restoreDatabase(target, other.path, { force: false });
    for (const file of readdirSync(other.path)) assert.equal(modeOf(path.join(other.path, file)), 0o600, file);
  });

  it("is not restored while a server runs, nor from a file that is none, damaged or newer", async () => {
    await using folder = await temporaryFolder();
    await using other = await temporaryFolder();
    const file = makeDatabase(folder.path);
    const restore = (from: string) => restoreDatabase(from, other.path, { force: false });
    {
      using _held = lockFolder(other.path);
      await assert.rejects(restore(file), { code: "data_dir_in_use" });
    }
    const strange = path.join(folder.path, "strange.db");
    await assert.rejects(restore(strange), { code: "invalid_input", message: /no file/ });
    writeFileSync(strange, "this is no database, but long enough to look at".repeat(100));
    await assert.rejects(restore(strange), { code: "database_damaged" });
    const empty = path.join(folder.path, "empty.db");
    new DatabaseSync(empty).exec("CREATE TABLE t (a)");
    await assert.rejects(restore(empty), { code: "invalid_input", message: /not one of Hivepost's/ });
    const newer = path.join(folder.path, "newer.db");
    new DatabaseSync(newer).exec(`PRAGMA user_version = ${schemaVersion + 1}`);
    await assert.rejects(restore(newer), { code: "database_newer", message: /newer Hivepost/ });
    assert.equal(existsSync(path.join(other.path, databaseName)), false);
  });
});

describe("the check of a database", () => {
  it("finds nothing wrong with a whole one", async () => {
    await using folder = await temporaryFolder();
    makeDatabase(folder.path);
    const steps: number[] = [];
    const { problems, counts } = checkDatabase(folder.path, ({ done }) => steps.push(done));
    assert.deepEqual(problems, []);
    assert.equal(counts.deliveries, 200);
    assert.ok(steps.length > 2);
  });

  it("finds deliveries without a message, messages without a delivery and without a conversation", async () => {
    await using folder = await temporaryFolder();
    const file = makeDatabase(folder.path, 3);
    using db = openConnection(file, "writer");
    db.exec("DELETE FROM messages WHERE position = 1; DELETE FROM deliveries WHERE message_position = 2");
    db.exec("UPDATE messages SET conversation_id = 'gone' WHERE position = 3");
    assert.deepEqual(checkDatabase(folder.path, quietly).problems, [
      "1 deliveries belong to no message",
      "1 messages have no delivery",
      "1 messages belong to no conversation",
    ]);
  });
});
