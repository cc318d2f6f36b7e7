import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { runCampaign } from "../../scripts/soak/campaign.ts";
import { temporaryFolder } from "../support/fixtures.ts";

/** HIVEPOST_KILLS=50 is the long form. */
const kills = Number(process.env["HIVEPOST_KILLS"] ?? 8);

describe("a server that is killed at any moment under load", () => {
  it("loses nothing it accepted and delivers nothing again that was acknowledged", async (test) => {
    await using folder = await temporaryFolder();
    const seed = Number(process.env["HIVEPOST_SEED"] ?? Date.now() % 1_000_000);
    test.diagnostic(`HIVEPOST_SEED=${seed}`);
    const result = await runCampaign({
      folder: path.join(folder.path, "kill"),
      messages: 10_000_000,
      kills,
      per_second: 1_000,
      kill_every_ms: 1_000,
      agents: 20,
      connections: 4,
      window: 256,
      content_bytes: 100,
      retention_ms: 0,
      ledger_every: 10,
      seed,
      progress_every_ms: 60_000,
      onProgress: (line) => test.diagnostic(line),
    });
    test.diagnostic(JSON.stringify(result));
    assert.deepEqual(result.complaints, []);
    assert.equal(result.outcome, "complete");
    assert.equal(result.kills, kills);
    assert.equal(result.acknowledged, result.messages);
    assert.ok(result.messages > kills * 50, `only ${result.messages} messages for ${kills} kills`);
  });
});
