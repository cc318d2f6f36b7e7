// How much slower is a hive for everybody else while one agent sends as fast as it can?
import type { LoopResult } from "./load/closed-loop.ts";
import type { FloodResult } from "./load/flooder.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

type Round = { readonly alone: LoopResult; readonly flooded: LoopResult; readonly flood: FloodResult };

/** What the load generator takes before the window opens. */
const warmup_s = 3;

await runBench<Round>({
  name: "flood",
  question:
    "1,000 messages/s by the clock between 50 agents, 1 KiB, each delivered and acknowledged, alone and while one agent sends as fast as it can over 8 WebSockets and 8 HTTP connections",
  rounds: 3,
  seconds: 10,
  async round({ seconds }) {
    const fleet = { "per-second": 1_000, agents: 50, connections: 50, seconds, "warmup-s": warmup_s };
    const alone = await measureAlone(fleet);
    await using server = await startHivepost();
    const [flooded, flood] = await Promise.all([
      runLoad<LoopResult>("fleet", server, fleet),
      runLoad<FloodResult>("flood", server, { seconds: seconds + warmup_s }),
    ]);
    return { alone, flooded, flood };
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    const ratio = (pick: (result: LoopResult) => number | undefined) => (it: Round) =>
      (pick(it.flooded) ?? Number.NaN) / (pick(it.alone) ?? Number.NaN);
    return [
      figure(
        "rate, flooded to alone",
        "×",
        ratio((it) => it.per_second),
        { at_least: 0.8 },
      ),
      figure(
        "p50 to the delivery, flooded to alone",
        "×",
        ratio((it) => it.latency.delivered?.p50_ms),
        { at_most: 1.2 },
      ),
      figure(
        "p99 to the delivery, flooded to alone",
        "×",
        ratio((it) => it.latency.delivered?.p99_ms),
        { at_most: 1.2 },
      ),
      figure("p50 alone", "ms", (it) => it.alone.latency.delivered?.p50_ms),
      figure("p50 flooded", "ms", (it) => it.flooded.latency.delivered?.p50_ms),
      figure("p99 alone", "ms", (it) => it.alone.latency.delivered?.p99_ms),
      figure("p99 flooded", "ms", (it) => it.flooded.latency.delivered?.p99_ms),
      figure("the flooder's messages accepted", "in all", (it) => it.flood.websocket.accepted + it.flood.rest.accepted),
      figure("the flooder's messages refused", "in all", (it) => it.flood.websocket.refused + it.flood.rest.refused),
    ];
  },
});

async function measureAlone(fleet: Readonly<Record<string, number>>): Promise<LoopResult> {
  await using server = await startHivepost();
  return await runLoad<LoopResult>("fleet", server, fleet);
}
