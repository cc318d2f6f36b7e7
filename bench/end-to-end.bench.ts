// How many messages a second can 50 agents send, receive and acknowledge, with 400 under way, for a minute on end?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { awaitIndex, type IndexCatchUp } from "./measure/index-lag.ts";
import { runLoad } from "./measure/load.ts";

type Round = LoopResult & { readonly index: IndexCatchUp };

await runBench<Round>({
  name: "end-to-end",
  question: "Send → push → acknowledge over WebSocket, 1 KiB, 50 agents on 50 connections, 400 outstanding",
  rounds: 3,
  seconds: 60,
  async round({ seconds }) {
    await using server = await startHivepost();
    const flags = { "in-flight": 400, agents: 50, connections: 50, seconds };
    const result = await runLoad<LoopResult>("end-to-end", server, flags);
    return { ...result, index: await awaitIndex(server) };
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("acknowledged", "messages/s", (it) => it.per_second, { at_least: 12_000 }),
      figure("slowest second", "messages/s", (it) => it.slowest_second),
      figure("p50 to the acknowledgement", "ms", (it) => it.latency.acknowledged?.p50_ms),
      figure("p99 to the acknowledgement", "ms", (it) => it.latency.acknowledged?.p99_ms),
      figure("server CPU", "µs/message", (it) => it.server_cpu_us_per_message),
      figure("server CPU, index caught up", "µs/message", cpuWithIndex),
      figure("index behind at the end", "messages", (it) => it.index.lag_messages),
      figure("index caught up after", "s", (it) => it.index.catch_up_s),
      figure("load generator CPU", "µs/message", (it) => it.client_cpu_us_per_message),
      figure("server memory", "MiB", (it) => it.server_peak_mib),
    ];
  },
});

function cpuWithIndex({ server_cpu_us_per_message, index, books }: Round): number {
  return server_cpu_us_per_message + (index.cpu_ms * 1_000) / books.sent;
}
