import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { openKeyRing } from "../../src/crypto/key-ring.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { chance, providerOf } from "./keys.ts";
import { memoryKeyRecords } from "./memory-key-records.ts";

const worker = path.join(import.meta.dirname, "restarted-worker.ts");
const restarts = 4;
const processesAtOnce = 2;
const threadsEach = 2;
const fieldsPerThread = 7_000;
/** Epoch (4 bytes) and nonce (12) of a sealed field. */
const headerBytes = 16;

describe("the nonces of a hive", () => {
  it("are all different over threads, processes and restarts with the same key", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "records.json");
    const records = memoryKeyRecords();
    await openKeyRing({ hive_id: "hive-1", records, provider: providerOf(1), now: () => 0, randomBytes: chance });
    await writeFile(file, JSON.stringify(records.stored()));

    const seen = new Set<string>();
    let sealed = 0;
    for (let restart = 0; restart < restarts; restart++) {
      const outputs = await Promise.all(Array.from({ length: processesAtOnce }, () => sealInProcess(file)));
      for (const headers of outputs) {
        for (let at = 0; at < headers.length; at += headerBytes) {
          const header = headers.subarray(at, at + headerBytes);
          assert.equal(header.readUInt32BE(0), 1, "all under the one key");
          seen.add(header.toString("latin1"));
          sealed += 1;
        }
      }
    }
    assert.equal(sealed, restarts * processesAtOnce * threadsEach * fieldsPerThread);
    assert.ok(sealed > 100_000);
    assert.equal(seen.size, sealed);
  });
});

async function sealInProcess(file: string): Promise<Buffer> {
  const options = { encoding: "buffer", maxBuffer: 64 * 1_024 * 1_024 } as const;
  const { stdout } = await promisify(execFile)(process.execPath, [worker, file, String(fieldsPerThread)], options);
  return stdout;
}
