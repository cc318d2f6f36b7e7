// How many messages a second can 50 agents send, receive and acknowledge, with 400 under way, for a minute on end?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

await runBench<LoopResult>({
  name: "end-to-end",
  question: "Send → push → acknowledge over WebSocket, 1 KiB, 50 agents on 50 connections, 400 outstanding",
  rounds: 3,
  seconds: 60,
  async round({ seconds }) {
    await using server = await startHivepost();
    return await runLoad<LoopResult>("end-to-end", server, { "in-flight": 400, agents: 50, connections: 50, seconds });
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("acknowledged", "messages/s", (it) => it.per_second, { at_least: 12_000 }),
      figure("slowest second", "messages/s", (it) => it.slowest_second),
      figure("p50 to the acknowledgement", "ms", (it) => it.latency.acknowledged?.p50_ms),
      figure("p99 to the acknowledgement", "ms", (it) => it.latency.acknowledged?.p99_ms),
      figure("server CPU", "µs/message", (it) => it.server_cpu_us_per_message),
      figure("load generator CPU", "µs/message", (it) => it.client_cpu_us_per_message),
      figure("server memory", "MiB", (it) => it.server_peak_mib),
    ];
  },
});
