import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { createFiller } from "../load/filler.ts";
import { createHistogram, summary } from "../load/histogram.ts";
import { cpuOfProcess } from "../measure/processes.ts";

/*
 * BullMQ doing what bench/load's `end-to-end` does with Hivepost: messages of 1 KiB with four priorities between agents, so
 * many under way, each accepted durably, handed to its recipient's worker, and acknowledged (the job completed). Prints one
 * line of JSON. Run by bench/vs-bullmq.bench.ts; bench/peers/README.md says how it was tuned.
 */

const { values } = parseArgs({
  options: {
    "redis-port": { type: "string", default: "6379" },
    "redis-pid": { type: "string", default: "0" },
    queues: { type: "string", default: "50" },
    concurrency: { type: "string", default: "8" },
    "in-flight": { type: "string", default: "400" },
    "content-bytes": { type: "string", default: "1024" },
    "warmup-s": { type: "string", default: "3" },
    seconds: { type: "string", default: "10" },
    keep: { type: "string", default: "0" },
    producers: { type: "string", default: "1" },
    "auto-pipelining": { type: "string", default: "0" },
  },
});
const queueCount = Number(values.queues);
const redisPid = Number(values["redis-pid"]);
const inFlight = Number(values["in-flight"]);
/** As in bench/load/traffic.ts: one in ten urgent, two high, six normal, one low. BullMQ's 1 is the most pressing. */
const prioritiesInTurn = [1, 3, 2, 3, 3, 4, 3, 2, 3, 3];
const fillers = 256;

const filler = createFiller(7);
const texts = Array.from({ length: fillers }, () => filler(Number(values["content-bytes"]) - 10));
const newConnection = () =>
  new Redis({
    host: "127.0.0.1",
    port: Number(values["redis-port"]),
    maxRetriesPerRequest: null,
    enableAutoPipelining: values["auto-pipelining"] === "1",
  });
const sharedConnections = Array.from({ length: Number(values.producers) }, newConnection);

let sent = 0;
let answered = 0;
let completed = 0;
let deliveredAgain = 0;
let stopped = false;
let latency = createHistogram();
const due: number[] = [];
const seen = new Set<number>();

const queues = Array.from({ length: queueCount }, (_, i) => {
  const connection = sharedConnections[i % sharedConnections.length] ?? newConnection();
  return new Queue(`agent-${i}`, { connection });
});
const workers = queues.map(
  (queue) =>
    new Worker(
      queue.name,
      async (job) => {
        const n = Number.parseInt(job.data.content, 10);
        if (`agent-${n % queueCount}` !== queue.name) throw new Error(`message ${n} came to ${queue.name}`);
        if (seen.has(n)) deliveredAgain += 1;
        seen.add(n);
      },
      {
        connection: newConnection(),
        concurrency: Number(values.concurrency),
        metrics: undefined,
        skipStalledCheck: false,
      },
    ),
);
for (const worker of workers) {
  worker.on("completed", (job) => {
    const n = Number.parseInt(job.data.content, 10);
    completed += 1;
    latency.record(performance.now() - (due[n] ?? 0));
    seen.delete(n);
    if (!stopped) void send();
  });
  worker.on("failed", (_, error) => {
    throw error;
  });
}

async function send(): Promise<void> {
  const n = sent++;
  due[n] = performance.now();
  const content = `${String(n).padStart(9, "0")} ${texts[n % fillers]}`;
  const keep = Number(values.keep);
  await queues[n % queueCount]?.add(
    "message",
    { from_agent: `agent-${(n * 7) % 50}`, content },
    { priority: prioritiesInTurn[n % prioritiesInTurn.length] ?? 3, removeOnComplete: keep ? { count: keep } : true },
  );
  answered += 1;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

await Promise.all(workers.map((worker) => worker.waitUntilReady()));
for (let i = 0; i < inFlight; i++) void send();
await pause(Number(values["warmup-s"]) * 1_000);
latency = createHistogram();
const before = { at: performance.now(), completed, redis: cpuOfProcess(redisPid), own: process.cpuUsage() };
await pause(Number(values.seconds) * 1_000);
const seconds = (performance.now() - before.at) / 1_000;
const messages = completed - before.completed;
const redis_ms = cpuOfProcess(redisPid) - before.redis;
const own = process.cpuUsage(before.own);
const measured = summary(latency);
const counts = latency.counts();
stopped = true;
for (let i = 0; i < 2_000 && completed < sent; i++) await pause(5);
if (answered !== sent || completed !== sent || deliveredAgain > 0) {
  throw new Error(`the books do not balance: ${JSON.stringify({ sent, answered, completed, deliveredAgain })}`);
}
const result = {
  seconds: Math.round(seconds * 100) / 100,
  messages,
  per_second: Math.round(messages / seconds),
  server_cpu_us_per_message: Math.round((redis_ms * 10_000) / messages) / 10,
  client_cpu_us_per_message: Math.round(((own.user + own.system) * 10) / messages) / 10,
  latency: { acknowledged: { ...measured, counts } },
  books: { sent, answered, completed },
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
