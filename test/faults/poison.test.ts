import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DeadLetter } from "../../src/contract/messages.ts";
import { spawnHivepost } from "../cli/spawned.ts";
import { ledgerFaults } from "../support/checker.ts";
import { eventually } from "../support/eventually.ts";
import { ada, bob, temporaryFolder } from "../support/fixtures.ts";
import { startHive } from "../support/hive-process.ts";
import { tell } from "./rest.ts";

describe("a message that kills whoever takes it", () => {
  it("becomes a dead letter, its sender is told, and a redrive brings it to a healthy worker", async () => {
    await using folder = await temporaryFolder();
    const environment = { HIVEPOST_MAX_ATTEMPTS: "3", HIVEPOST_BACKOFF_BASE_MS: "1" };
    await using hive = await startHive(folder.path, { environment });
    for (const agent_id of [ada, bob]) await tell(hive, "registerAgent", { agent_id });
    const poison = await tell(hive, "sendMessage", { from_agent: ada, to_agent: bob, content: "poison" });
    const harmless = await tell(hive, "sendMessage", { from_agent: ada, to_agent: bob, content: "harmless" });

    let deaths = 0;
    /** A worker takes one message; what became of it tells whether it lived. */
    const dead = await eventually(
      "the message is given up",
      async (): Promise<DeadLetter | undefined> => {
        await using worker = spawnHivepost([hive.url, hive.token, bob], { program: "test/faults/frail-worker.ts" });
        await worker.ended;
        if (worker.process.signalCode === "SIGKILL") deaths += 1;
        return (await tell(hive, "listDeadLetters", {})).dead_letters[0];
      },
      60_000,
    );
    assert.deepEqual([dead.message.id, dead.attempt, deaths], [poison.id, 3, 3]);

    const notice = await tell(hive, "claimMessages", { agent_id: ada, wait_ms: 5_000 });
    assert.equal(notice.deliveries[0]?.message.metadata["notice"], "dead_letter");
    assert.equal(notice.deliveries[0]?.message.metadata["message_id"], poison.id);

    await tell(hive, "redriveDeadLetters", { message_ids: [poison.id] });
    await eventually("a worker that bears it has handled everything", async () => {
      const { deliveries } = await tell(hive, "claimMessages", { agent_id: bob, limit: 9, wait_ms: 500 });
      for (const { message, lease_id } of deliveries) {
        await tell(hive, "acknowledgeMessage", { message_id: message.id, lease_id });
      }
      return (await tell(hive, "getMessage", { message_id: poison.id })).acknowledged;
    });
    for (const { id } of [poison, harmless]) {
      const message = await tell(hive, "getMessage", { message_id: id });
      assert.deepEqual([message.acknowledged, ledgerFaults(message)], [true, []]);
    }
  });
});
