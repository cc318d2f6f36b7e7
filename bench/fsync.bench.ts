// Does every answer to a send leave after the fsync that covers its message, and how many messages share one fsync?
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { LoopResult } from "./load/closed-loop.ts";
import { figuresOf, runBench } from "./measure/bench.ts";
import { startHivepost } from "./measure/hivepost.ts";
import { runLoad } from "./measure/load.ts";
import { median } from "./measure/machine.ts";
import { type DurabilityTrace, readTrace, straceCommand } from "./measure/strace.ts";

type Round = Omit<DurabilityTrace, "batches"> & { readonly sent: number; readonly batch_median: number };

await runBench<Round>({
  name: "fsync",
  question: "WebSocket send under strace, 64 in flight over 8 connections: one fsync per batch, before its answers",
  rounds: 1,
  seconds: 5,
  async round({ seconds }) {
    const folder = mkdtempSync(path.join(tmpdir(), "strace-bench-"));
    const file = path.join(folder, "trace");
    const sent = await sendUnderStrace(file, seconds);
    const { batches, ...trace } = await readTrace(file);
    rmSync(folder, { recursive: true });
    if (trace.answered_too_early.length > 0) {
      throw new Error(
        `answered before they were durable: messages ${trace.answered_too_early.slice(0, 10).join(", ")}`,
      );
    }
    if (trace.answered !== sent) throw new Error(`${sent} were answered, but strace saw ${trace.answered} answers`);
    return { ...trace, sent, batch_median: median(batches) };
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("answers before their fsync", "messages", (it) => it.answered_too_early.length, { at_most: 0 }),
      figure("answers", "messages", (it) => it.answered),
      figure("fsyncs of the log", "", (it) => it.fsyncs),
      figure("messages per fsync, median", "messages", (it) => it.batch_median),
    ];
  },
});

async function sendUnderStrace(file: string, seconds: number): Promise<number> {
  await using server = await startHivepost(["--inbox-depth", "10000000"], straceCommand(file));
  const flags = { "in-flight": 64, agents: 50, connections: 8, seconds, "warmup-s": 1 };
  const { books } = await runLoad<LoopResult>("send", server, flags);
  return books.sent;
}
