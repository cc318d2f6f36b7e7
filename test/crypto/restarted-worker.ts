/*
 * A server's start, as far as its keys go, in a process of its own: opens a hive's keys with the master key, seals in two threads at
 * once, and writes the header (epoch and nonce) of every sealed field to standard output. Arguments: file of the key records, fields per
 * thread.
 */
import { readFileSync, writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { openKeyRing, type WrappedKey } from "../../src/crypto/key-ring.ts";
import { chance, providerOf } from "./keys.ts";
import { memoryKeyRecords } from "./memory-key-records.ts";

const [file = "", fields = "0"] = process.argv.slice(2);
const records = memoryKeyRecords();
await records.add(JSON.parse(readFileSync(file, "utf8")) as WrappedKey[]);
const ring = await openKeyRing({
  hive_id: "hive-1",
  records,
  provider: providerOf(1),
  now: Date.now,
  randomBytes: chance,
});
const place = { message_id: "0191b8e0-0000-7000-8000-000000000001", field: "content" };
const workerData = { keys: ring.cipherKeys(), place, texts: Number(fields) };

for (let thread = 0; thread < 2; thread++) {
  const worker = new Worker(new URL("./sealing-worker.ts", import.meta.url), { workerData });
  worker.once("message", (sealed: Uint8Array[]) => {
    const headers = Buffer.concat(sealed.map((it) => it.subarray(1, 17)));
    for (let at = 0; at < headers.length; ) at += writeSync(1, headers, at);
  });
}
