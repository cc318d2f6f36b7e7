import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "../../src/base/random.ts";
import { checkDatabase } from "../../src/stores/sqlite/backup.ts";
import { spawnServer } from "../cli/spawned.ts";
import { createJudge, type Judge } from "../support/checker.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { clientOf, crew, type Doubtful, startLoad, startReaders } from "./load.ts";

/*
 * Real processes. HIVEPOST_ROUNDS=50 for the long form; HIVEPOST_SEED repeats the moments of a run, as far as real
 * processes repeat.
 */
const rounds = Number(process.env["HIVEPOST_ROUNDS"] ?? 6);
const seed = Number(process.env["HIVEPOST_SEED"] ?? Date.now() % 100_000);

const environment = { HIVEPOST_LOG_LEVEL: "warn", HIVEPOST_MAX_ATTEMPTS: "1000", HIVEPOST_INBOX_DEPTH: "1000000" };

describe("a server under load", () => {
  it(`killed ${rounds} times at any moment loses nothing accepted and repeats nothing acknowledged`, async () => {
    await survive("SIGKILL");
  });

  it("told to stop twice loses nothing either, and ends well within ten seconds", async () => {
    await survive("SIGTERM", 2);
  });
});

async function survive(signal: "SIGKILL" | "SIGTERM", lives = rounds): Promise<void> {
  await using folder = await temporaryFolder();
  const random = seededRandom(seed);
  const judge = createJudge({ max_attempts: 1_000 });
  const doubtful: Doubtful = [];
  for (let life = 0; life < lives; life++) {
    await using server = await spawnServer(folder.path, { environment });
    await using client = clientOf(server.url, folder.path);
    if (life === 0) for (const agent_id of crew) await client.registerAgent({ agent_id });
    const load = await startLoad(client, judge, doubtful);
    await sleep(200 + random() * 800);
    const told_ms = performance.now();
    server.process.kill(signal);
    const ended = await server.ended;
    judge.interrupted();
    // Nobody comes back at this address: whoever still waits for an answer is told that none will come.
    await client[Symbol.asyncDispose]();
    await load.stop();
    assert.equal(ended, signal === "SIGTERM" ? 0 : signal, server.err());
    assert.ok(performance.now() - told_ms < 10_000, `it took ${performance.now() - told_ms} ms to end`);
  }
  await settle(folder.path, judge, doubtful);
  assert.deepEqual(judge.complaints, [], `seed ${seed}`);
  assert.ok(judge.counts.accepted > 20 * lives, `only ${judge.counts.accepted} messages: nothing was tried`);
  assert.deepEqual(checkDatabase(folder.path, () => undefined).problems, []);
}

/** In one last life everything comes to its end; then each message is compared with what was seen of it. */
async function settle(folder: string, judge: Judge, doubtful: Doubtful): Promise<void> {
  await using server = await spawnServer(folder, { environment });
  await using client = clientOf(server.url, folder);
  await startReaders(client, judge);
  for (const sending of doubtful.splice(0)) {
    judge.resent(sending.id);
    await client.sendMessage(sending);
    judge.accepted(sending.id);
  }
  await eventually(
    "all mail is delivered",
    async () => {
      const inboxes = await Promise.all(crew.map((agent_id) => client.getInbox({ agent_id })));
      return inboxes.every((it) => it.total === 0);
    },
    60_000,
  );
  // What is still open was acknowledged, but the answer to that was lost with the server.
  for (const message_id of judge.openIds()) judge.audit(await client.getMessage({ message_id }), { crashes: true });
  const { messages } = await client.searchMessages({ limit: 300 });
  for (const { id } of messages) judge.audit(await client.getMessage({ message_id: id }), { crashes: true });
  server.process.kill("SIGTERM");
  assert.equal(await server.ended, 0, server.err());
}
