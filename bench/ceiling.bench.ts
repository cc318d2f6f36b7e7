// What could a bus on Node and SQLite do on this machine at most, and how much of that is left with everything that Hivepost does?
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startBareServer, startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

type Pair = { readonly hivepost: LoopResult; readonly bare: LoopResult };
type Round = Readonly<Record<Mode, Pair>>;
type Mode = "send" | "end-to-end";

const flags: Readonly<Record<Mode, { readonly "in-flight": number }>> = {
  send: { "in-flight": 256 },
  "end-to-end": { "in-flight": 400 },
};

await runBench<Round>({
  name: "ceiling",
  question:
    "Hivepost and a bare server, which takes the same frames and does nothing but write and deliver them, in interleaved rounds",
  rounds: 5,
  seconds: 8,
  round: async ({ seconds }) => ({
    send: await runPair("send", seconds),
    "end-to-end": await runPair("end-to-end", seconds),
  }),
  figures(rounds) {
    const figure = figuresOf(rounds);
    const cpuRatio = ({ hivepost, bare }: Pair) => hivepost.server_cpu_us_per_message / bare.server_cpu_us_per_message;
    return (["send", "end-to-end"] as const).flatMap((mode) => [
      figure(`${mode}, bare server`, "messages/s", (it) => it[mode].bare.per_second),
      figure(`${mode}, Hivepost`, "messages/s", (it) => it[mode].hivepost.per_second),
      figure(`${mode}, ratio of rates`, "×", (it) => it[mode].hivepost.per_second / it[mode].bare.per_second),
      figure(`${mode}, bare server CPU`, "µs/message", (it) => it[mode].bare.server_cpu_us_per_message),
      figure(`${mode}, Hivepost's server CPU`, "µs/message", (it) => it[mode].hivepost.server_cpu_us_per_message),
      figure(`${mode}, ratio of server CPU`, "×", (it) => cpuRatio(it[mode])),
    ]);
  },
});

async function runPair(mode: Mode, seconds: number): Promise<Pair> {
  const load = { ...flags[mode], agents: 50, connections: 50, seconds };
  await using hivepost = await startHivepost(["--inbox-depth", "10000000"]);
  const ours = await runLoad<LoopResult>(mode, hivepost, load);
  await using bare = await startBareServer();
  return { hivepost: ours, bare: await runLoad<LoopResult>(mode, bare, load) };
}
