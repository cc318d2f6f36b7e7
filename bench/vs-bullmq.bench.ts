// How does Hivepost compare with BullMQ on a Redis that fsyncs, doing the same work on the same machine in turns?
import { existsSync } from "node:fs";
import path from "node:path";
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { awaitIndex, type IndexCatchUp } from "./measure/index-lag.ts";
import { runLoad, runScript } from "./measure/load.ts";
import { startRedis } from "./measure/redis.ts";

type PeerResult = Pick<
  LoopResult,
  "per_second" | "server_cpu_us_per_message" | "client_cpu_us_per_message" | "latency"
>;
type OwnResult = LoopResult & { readonly index: IndexCatchUp };
type Round = { readonly hivepost: OwnResult; readonly bullmq: PeerResult };

const peers = path.join(import.meta.dirname, "peers");
/** The fastest setting found for BullMQ; bench/peers/README.md has the others. */
const tuning = { queues: 50, concurrency: 2 };
/** Long enough for the engines of both to have compiled what runs often: what is asked is how they go on. */
const warmup = { "warmup-s": 10 };
let roundsRun = 0;

if (!existsSync(path.join(peers, "node_modules"))) {
  throw new Error("The peer is not installed. Run: npm ci --prefix bench/peers");
}

await runBench<Round>({
  name: "vs-bullmq",
  question:
    "Send, deliver and acknowledge 1 KiB with four priorities, fsync before accept, 50 inboxes, 400 outstanding: Hivepost and BullMQ in interleaved rounds",
  rounds: 5,
  seconds: 15,
  async round({ seconds }) {
    // Who goes first alternates, so that neither always meets the colder machine.
    if (roundsRun++ % 2 === 0) {
      const hivepost = await runHivepost(seconds);
      return { hivepost, bullmq: await runBullmq(seconds) };
    }
    const bullmq = await runBullmq(seconds);
    return { hivepost: await runHivepost(seconds), bullmq };
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    const total = (it: PeerResult) => it.server_cpu_us_per_message + it.client_cpu_us_per_message;
    const cpuRatio = ({ hivepost, bullmq }: Round) =>
      hivepost.server_cpu_us_per_message / bullmq.server_cpu_us_per_message;
    return [
      figure("Hivepost", "messages/s", (it) => it.hivepost.per_second),
      figure("BullMQ", "messages/s", (it) => it.bullmq.per_second),
      figure("ratio of rates", "×", (it) => it.hivepost.per_second / it.bullmq.per_second, { at_least: 2 }),
      figure("Hivepost, server CPU", "µs/message", (it) => it.hivepost.server_cpu_us_per_message),
      figure("BullMQ, Redis CPU", "µs/message", (it) => it.bullmq.server_cpu_us_per_message),
      figure("ratio of server CPU", "×", cpuRatio, { at_most: 0.5 }),
      figure("Hivepost, server CPU, index caught up", "µs/message", (it) => cpuWithIndex(it.hivepost)),
      figure("Hivepost, CPU of all processes", "µs/message", (it) => total(it.hivepost)),
      figure("BullMQ, CPU of all processes", "µs/message", (it) => total(it.bullmq)),
      figure("Hivepost, p99", "ms", (it) => it.hivepost.latency.acknowledged?.p99_ms),
      figure("BullMQ, p99", "ms", (it) => it.bullmq.latency.acknowledged?.p99_ms),
    ];
  },
});

async function runHivepost(seconds: number): Promise<OwnResult> {
  await using server = await startHivepost();
  const flags = { "in-flight": 400, agents: 50, connections: 50, seconds, ...warmup };
  const result = await runLoad<LoopResult>("end-to-end", server, flags);
  return { ...result, index: await awaitIndex(server) };
}

async function runBullmq(seconds: number): Promise<PeerResult> {
  await using redis = await startRedis();
  const flags = {
    "redis-port": redis.port,
    "redis-pid": redis.pid,
    "in-flight": 400,
    queues: tuning.queues,
    concurrency: tuning.concurrency,
    seconds,
    ...warmup,
  };
  const rest = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  return (await runScript(path.join(peers, "bullmq.ts"), rest)) as PeerResult;
}

/** BullMQ keeps no history and has no search; this is what Hivepost pays for them in the end. */
function cpuWithIndex({ server_cpu_us_per_message, index, books }: OwnResult): number {
  return server_cpu_us_per_message + (index.cpu_ms * 1_000) / books.sent;
}
