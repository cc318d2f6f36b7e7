import { setTimeout as delay } from "node:timers/promises";
import type { Hivepost } from "./hivepost.ts";
import { cpuOfProcess } from "./processes.ts";

/** How far the search index was behind, and what it took to catch up when the traffic had ended. */
export type IndexCatchUp = {
  readonly lag_messages: number;
  readonly catch_up_s: number;
  /** CPU of the whole server meanwhile; nothing else went on. */
  readonly cpu_ms: number;
};

type Indexing = Pick<Hivepost, "url" | "token" | "pid">;

const patience_ms = 600_000;

/**
 * The index is made on a thread that lets all others go first, so under load it falls behind: its work is put off, not
 * saved. This waits for it, so that the work can be counted.
 */
export async function awaitIndex(server: Indexing): Promise<IndexCatchUp> {
  const cpuBefore = cpuOfProcess(server.pid);
  const start = performance.now();
  const lag_messages = await indexLag(server);
  for (let lag = lag_messages; lag > 0; lag = await indexLag(server)) {
    if (performance.now() - start > patience_ms) throw new Error(`the index stays ${lag} messages behind`);
    await delay(200);
  }
  const catch_up_s = Math.round((performance.now() - start) / 100) / 10;
  return { lag_messages, catch_up_s, cpu_ms: cpuOfProcess(server.pid) - cpuBefore };
}

async function indexLag({ url, token }: Indexing): Promise<number> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  const metrics = await response.text();
  const lag = /^hivepost_index_lag_messages(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1];
  if (lag === undefined) throw new Error(`/metrics does not tell index_lag_messages: ${metrics.slice(0, 500)}`);
  return Number(lag);
}
