// How soon does mail arrive, and how much memory does the server take, with 500 agents connected?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

await runBench<LoopResult>({
  name: "fleet",
  question: "500 connected agents, 1,000 messages/s by the clock, 1 KiB, each delivered and acknowledged",
  rounds: 3,
  seconds: 60,
  async round({ seconds }) {
    await using server = await startHivepost();
    const flags = { "per-second": 1_000, agents: 500, connections: 500, seconds, "warmup-s": 5 };
    return await runLoad<LoopResult>("fleet", server, flags);
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("p50 to the delivery", "ms", (it) => it.latency.delivered?.p50_ms),
      figure("p99 to the delivery", "ms", (it) => it.latency.delivered?.p99_ms),
      figure("p99 to the acknowledgement", "ms", (it) => it.latency.acknowledged?.p99_ms, { at_most: 50 }),
      figure("server memory, resident", "MiB", (it) => it.server_resident_mib),
      figure("server memory, peak", "MiB", (it) => it.server_peak_mib, { at_most: 300 }),
      figure("server CPU", "µs/message", (it) => it.server_cpu_us_per_message),
    ];
  },
});
