// How many messages a second does a server accept durably over WebSocket, with 256 under way to 50 inboxes?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

await runBench<LoopResult>({
  name: "send",
  question: "WebSocket send, durable, 1 KiB, 256 in flight to 50 inboxes over 50 connections",
  rounds: 5,
  seconds: 10,
  async round({ seconds }) {
    // Nobody receives here, so inboxes fill: their limit must not end the run.
    await using server = await startHivepost(["--inbox-depth", "10000000"]);
    return await runLoad<LoopResult>("send", server, { "in-flight": 256, agents: 50, connections: 50, seconds });
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("accepted", "messages/s", (it) => it.per_second, { at_least: 18_000 }),
      figure("p50", "ms", (it) => it.latency.answered?.p50_ms),
      figure("p99", "ms", (it) => it.latency.answered?.p99_ms, { at_most: 40 }),
      figure("server CPU", "µs/message", (it) => it.server_cpu_us_per_message),
      figure("load generator CPU", "µs/message", (it) => it.client_cpu_us_per_message),
    ];
  },
});
