// How soon are questions to a history of a million messages answered while mail flows?
import type { HistoryResult } from "./load/history.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";

const messages = Number(process.env["BENCH_HISTORY_MESSAGES"] ?? 1_000_000);

await runBench<HistoryResult>({
  name: "history",
  question: "20 questions/s of each kind, 50 rows a page, to 1,000,000 messages of 1 KiB, while 1,000 messages/s flow",
  rounds: 1,
  seconds: 60,
  async round({ seconds }) {
    await using server = await startHivepost();
    const flags = { history: messages, "per-second": 1_000, agents: 50, connections: 50, seconds };
    return await runLoad<HistoryResult>("history", server, flags);
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    const kinds = ["pair", "conversation", "words"];
    return [
      ...kinds.flatMap((kind) => [
        figure(`${kind}, p50`, "ms", (it) => it.queries[kind]?.p50_ms),
        figure(`${kind}, p99`, "ms", (it) => it.queries[kind]?.p99_ms, { at_most: 50 }),
      ]),
      figure("p99 of the mail meanwhile", "ms", (it) => it.latency.acknowledged?.p99_ms),
      figure("import of the history", "messages/s", (it) => messages / it.import_s),
      figure("index made after the import", "s", (it) => it.index_wait_s),
      figure("server memory, peak", "MiB", (it) => it.server_peak_mib),
    ];
  },
});
