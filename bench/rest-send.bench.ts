// How many messages a second does a server accept durably over REST?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

await runBench<LoopResult>({
  name: "rest-send",
  question: "REST send, durable, 1 KiB, 64 requests in flight on kept connections",
  rounds: 5,
  seconds: 10,
  async round({ seconds }) {
    await using server = await startHivepost(["--inbox-depth", "10000000"]);
    return await runLoad<LoopResult>("rest", server, { "in-flight": 64, agents: 50, seconds });
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("accepted", "messages/s", (it) => it.per_second, { at_least: 4_000 }),
      figure("p50", "ms", (it) => it.latency.answered?.p50_ms),
      figure("p99", "ms", (it) => it.latency.answered?.p99_ms),
      figure("server CPU", "µs/message", (it) => it.server_cpu_us_per_message),
      figure("load generator CPU", "µs/message", (it) => it.client_cpu_us_per_message),
    ];
  },
});
