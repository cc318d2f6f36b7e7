// How does the rate of durable sends grow with the number under way?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

const levels = [1, 4, 16, 64, 256, 1_024];

await runBench<Readonly<Record<number, LoopResult>>>({
  name: "send-in-flight",
  question: "WebSocket send, durable, 1 KiB, by the number in flight",
  rounds: 3,
  seconds: 5,
  async round({ seconds }) {
    const results: Record<number, LoopResult> = {};
    for (const level of levels) {
      await using server = await startHivepost(["--inbox-depth", "10000000"]);
      const connections = Math.min(level, 50);
      const flags = { "in-flight": level, agents: 50, connections, seconds, "warmup-s": 2 };
      results[level] = await runLoad<LoopResult>("send", server, flags);
    }
    return results;
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return levels.map((level) => figure(`${level} in flight`, "messages/s", (it) => it[level]?.per_second));
  },
});
