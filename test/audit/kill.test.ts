import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { it } from "node:test";
import { runHivepost } from "../cli/spawned.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { startHive } from "../support/hive-process.ts";

it("a server that is killed while it writes its audit log leaves it whole, with all that was answered", async () => {
  await using folder = await temporaryFolder();
  let removed = 0;
  for (let round = 0; round < 2; round++) {
    await using hive = await startHive(folder.path);
    const headers = { authorization: `Bearer ${hive.token}`, "content-type": "application/json" };
    const killed = new Promise<unknown>((resolve) => setTimeout(() => resolve(hive.end("SIGKILL")), 700));
    const work = async () => {
      for (let n = 0; ; n++) {
        const url = `${hive.url}/agents/r${round}n${n}`;
        await fetch(url, { method: "PUT", headers, body: "{}" });
        const answer = await fetch(url, { method: "DELETE", headers });
        if (answer.ok) removed += 1;
      }
    };
    await assert.rejects(work());
    await killed;
    const { code, out } = await runHivepost(["audit", "verify", "--data-dir", folder.path]);
    assert.equal(code, 0, out);
    const noted = readFileSync(path.join(folder.path, "audit.jsonl"), "utf8").match(/"agent_removed"/g) ?? [];
    assert.ok(removed > 0 && noted.length >= removed, `${noted.length} of ${removed} are noted`);
  }
});
