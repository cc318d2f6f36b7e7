import { mkdirSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { runCampaign } from "./soak/campaign.ts";

/*
 * `npm run soak -- --hours 48 --rate 1000`: a server under steady load that is killed every few minutes. Every message is
 * accounted for: what was accepted is delivered to its recipient in order, acknowledged once and never seen again, and
 * stands in the history once, with a ledger that makes sense.
 *
 *   --messages 2900000 --rate 0    so many, as fast as they go
 *   --kill-every 180               seconds between kills, on average; 0: never
 *   --folder soak-data             hive and books; an interrupted soak goes on from there
 *
 * Prints a line now and then, and in the end one line of JSON. Exit code: 0 complete, 1 a promise was broken, 2 interrupted.
 */

const { values } = parseArgs({
  options: {
    hours: { type: "string" },
    rate: { type: "string", default: "1000" },
    messages: { type: "string" },
    "kill-every": { type: "string", default: "180" },
    folder: { type: "string", default: path.join("soak-data") },
    agents: { type: "string", default: "50" },
    connections: { type: "string", default: "8" },
    window: { type: "string", default: "512" },
    "content-bytes": { type: "string", default: "256" },
    "retention-hours": { type: "string", default: "0" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    // An interrupted soak goes on by itself; the flag says so to people.
    resume: { type: "boolean", default: true },
  },
});

const per_second = Number(values.rate);
const messages = Number(values.messages ?? Number(values.hours ?? "1") * 3_600 * per_second);
if (!(messages > 0)) throw new Error("say how many: --hours with a --rate above 0, or --messages");
const folder = path.resolve(values.folder);
mkdirSync(folder, { recursive: true });

const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interruption.abort());

console.log(
  `soak in ${folder}, seed ${values.seed}: ${messages} messages, ${per_second || "as many as go"} per second`,
);
const result = await runCampaign({
  folder,
  messages,
  per_second,
  kill_every_ms: Number(values["kill-every"]) * 1_000,
  agents: Number(values.agents),
  connections: Number(values.connections),
  window: Number(values.window),
  content_bytes: Number(values["content-bytes"]),
  retention_ms: Number(values["retention-hours"]) * 3_600_000,
  ledger_every: 1_000,
  seed: Number(values.seed),
  progress_every_ms: 10_000,
  onProgress: (line) => console.log(line),
  signal: interruption.signal,
});
console.log(JSON.stringify(result));
process.exitCode = { complete: 0, failed: 1, interrupted: 2 }[result.outcome];
