import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { databaseName } from "../../src/stores/sqlite/schema.ts";
import { runHivepost, spawnServer } from "../cli/spawned.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { clientOf } from "./operator.ts";

const withoutMount = process.getuid?.() === 0 ? false : "mounting a small disk needs root";

describe("a full disk", { skip: withoutMount }, () => {
  it("makes sends fail with a clear error, loses nothing accepted, and is forgotten once there is space", async () => {
    await using folder = await temporaryFolder();
    const disk = path.join(folder.path, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=28m", "tmpfs", disk]);
    try {
      await fillUp(disk);
    } finally {
      execFileSync("umount", ["--lazy", disk]);
    }
  });
});

async function fillUp(disk: string): Promise<void> {
  const ballast = path.join(disk, "ballast");
  writeFileSync(ballast, Buffer.alloc(18 * 1_048_576));
  const environment = { HIVEPOST_LOG_LEVEL: "error", HIVEPOST_INBOX_DEPTH: "1000000" };
  await using server = await spawnServer(path.join(disk, "hive"), { environment });
  await using client = clientOf(server.url, path.join(disk, "hive"));
  await client.registerAgent({ agent_id: "bob" });
  const accepted: string[] = [];
  const send = (number: number) => client.sendMessage({ to_agent: "bob", content: `${number} ${"x".repeat(8_000)}` });
  await assert.rejects(
    async () => {
      for (let number = 0; number < 5_000; number++) accepted.push((await send(number)).id);
    },
    { code: "storage_full", message: /space/ },
  );
  assert.ok(accepted.length > 50, `only ${accepted.length} were accepted`);
  assert.equal((await client.health({})).status, "ok");

  rmSync(ballast);
  const next = await eventually("a message is accepted again", () => send(9_999).catch(() => undefined), 20_000);
  accepted.push(next.id);
  const claimed: string[] = [];
  while (claimed.length < accepted.length) {
    const { deliveries } = await client.claimMessages({ agent_id: "bob", limit: 500, wait_ms: 2_000 });
    assert.ok(deliveries.length > 0, `${claimed.length} of ${accepted.length} came`);
    for (const { message, lease_id } of deliveries) {
      claimed.push(message.id);
      await client.acknowledgeMessage({ message_id: message.id, lease_id });
    }
  }
  assert.deepEqual(claimed, accepted);
  server.process.kill("SIGTERM");
  assert.equal(await server.ended, 0, server.err());
}

describe("a damaged database", () => {
  const damages: [string, (file: string) => void][] = [
    ["a flipped bit in its header", (file) => flipBit(file, 20)],
    ["a flipped bit in its first table", (file) => flipBit(file, 4_096 + 5)],
    ["a flipped bit in what was said", (file) => flipBit(file, readFileSync(file).indexOf(sealedText(file)) + 20)],
    ["a missing end", (file) => truncateSync(file, statSync(file).size - 4_096)],
    ["nothing of a database in it", (file) => writeFileSync(file, "to be or not to be ".repeat(1_000))],
  ];
  for (const [what, damage] of damages) {
    it(`with ${what} is refused in one line that says what to do`, async () => {
      await using folder = await temporaryFolder();
      const file = await makeHive(folder.path, "SIGTERM");
      damage(file);
      const { code, out, err } = await runHivepost(["serve", "--port", "0", "--data-dir", folder.path]);
      assert.deepEqual([code, out], [1, ""]);
      const [line = "", ...others] = err.trim().split("\n");
      assert.deepEqual(others, []);
      assert.ok(line.includes(file) && line.includes("hivepost restore"), line);
    });
  }

  it("is refused after a kill as well, where its structure is broken", async () => {
    await using folder = await temporaryFolder();
    const file = await makeHive(folder.path, "SIGKILL");
    const hive = await spawnServer(folder.path);
    hive.process.kill("SIGTERM");
    await hive.ended;
    rmSync(`${file}.sum`);
    const bytes = readFileSync(file);
    bytes.fill(0xee, 4_096 * 2, 4_096 * 6);
    writeFileSync(file, bytes);
    const { code, err } = await runHivepost(["serve", "--port", "0", "--data-dir", folder.path]);
    assert.equal(code, 1);
    assert.match(err, /hivepost restore/);
  });
});

/** A hive with some mail in it; returns its database. */
async function makeHive(folder: string, end: "SIGTERM" | "SIGKILL"): Promise<string> {
  await using server = await spawnServer(folder);
  await using client = clientOf(server.url, folder);
  await client.registerAgent({ agent_id: "bob" });
  for (let i = 0; i < 20; i++) await client.sendMessage({ to_agent: "bob", content: "the secret of the hive" });
  server.process.kill(end);
  await server.ended;
  return path.join(folder, databaseName);
}

/** What stands on the disk for the first message. */
function sealedText(file: string): Uint8Array {
  using db = new DatabaseSync(file, { readOnly: true });
  return db.prepare("SELECT content FROM messages LIMIT 1").get()?.["content"] as Uint8Array;
}

function flipBit(file: string, offset: number): void {
  const bytes = readFileSync(file);
  assert.ok(offset >= 0 && offset < bytes.length);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x04;
  writeFileSync(file, bytes);
}
