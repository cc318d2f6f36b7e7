import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { connect } from "../../src/client/client.ts";
import { openOutbox } from "../../src/client/outbox.ts";
import type { Message } from "../../src/contract/messages.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { startHive, token } from "./hive.ts";
import { filesWith } from "./outbox-folder.ts";

const writer = path.join(import.meta.dirname, "outbox-writer.ts");
const rounds = 6;

describe("an outbox whose process is killed", () => {
  it("loses nothing it accepted, sends nothing twice and leaves nothing readable, also when two processes share it", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "outbox", "outbox.db");
    const key_file = path.join(folder.path, "keys", "outbox.key");
    await mkdir(path.dirname(file));
    await using hive = await startHive();
    await using client = connect(hive.url, { token });
    await client.registerAgent({ agent_id: "ada" });
    const accepted = new Map<string, string>();
    const next = { bob: 0, cleo: 0 };

    for (let round = 0; round < rounds; round++) {
      const before = accepted.size;
      const children = (["bob", "cleo"] as const).map((sender) =>
        startWriter([file, key_file, hive.url, token, sender, String(next[sender])], (n, id) => {
          accepted.set(id, `${sender} ${n}`);
          next[sender] = n + 1;
        }),
      );
      await eventually("both have accepted some", () => accepted.size > before + 20, 20_000);
      if (round % 2) await hive.stop();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
      assert.deepEqual(await plainFiles(path.dirname(file)), [], "while two processes write");
      for (const child of children) await kill(child);
      assert.deepEqual(await plainFiles(path.dirname(file)), [], "after both were killed");
      // The number of a message whose acceptance was not heard of is not used again.
      next.bob += 1;
      next.cleo += 1;
      await hive.start();
    }
    await using outbox = openOutbox({ file, key_file, client });
    assert.equal((await outbox.flush({ timeout_ms: 20_000 })).queued, 0);

    const arrived = await allMessages(client);
    const ids = arrived.map((it) => it.id as string);
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual(
      [...accepted.keys()].filter((id) => !ids.includes(id)),
      [],
    );
    for (const sender of ["bob", "cleo"]) {
      const numbers = arrived.filter((it) => it.from_agent === sender).map((it) => Number(it.content.split(" ")[1]));
      assert.deepEqual(
        numbers,
        [...new Set(numbers)].sort((a, b) => a - b),
        `${sender}'s messages arrived in their order, once each`,
      );
    }
  });
});

/** Files in which something stands that a message says. */
function plainFiles(folder: string): Promise<string[]> {
  return filesWith(folder, ["CANARY"]);
}

function startWriter(args: readonly string[], onAccepted: (n: number, id: string) => void): ChildProcess {
  const child = spawn(process.execPath, [writer, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [n = "", id = ""] = line.split(" ");
      onAccepted(Number(n), id);
    }
  });
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "close");
}

async function allMessages(client: ReturnType<typeof connect>): Promise<Message[]> {
  const all: Message[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await client.searchMessages({ order: "asc", limit: 500, ...(cursor && { cursor }) });
    all.push(...page.messages);
    cursor = page.next_cursor;
    if (!cursor) return all;
  }
}
