// How long does one sender, alone, wait until its message is safe?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

await runBench<LoopResult>({
  name: "send-alone",
  question: "WebSocket send, durable, 1 KiB, one sender with one message in flight",
  rounds: 5,
  seconds: 8,
  async round({ seconds }) {
    await using server = await startHivepost(["--inbox-depth", "10000000"]);
    return await runLoad<LoopResult>("send", server, { "in-flight": 1, agents: 2, connections: 1, seconds });
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("p50", "ms", (it) => it.latency.answered?.p50_ms, { at_most: 1 }),
      figure("p99", "ms", (it) => it.latency.answered?.p99_ms),
      figure("accepted", "messages/s", (it) => it.per_second),
    ];
  },
});
