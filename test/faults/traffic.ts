import assert from "node:assert/strict";
import { createLoad, type Load } from "../../scripts/soak/load.ts";
import { idOf } from "../../scripts/soak/numbered.ts";
import { createJudge, type Judge } from "../support/checker.ts";
import { eventually } from "../support/eventually.ts";
import type { HiveProcess } from "../support/hive-process.ts";

/** Agents that write to each other while something goes wrong, all of it watched by a judge. */
export type Traffic = Disposable & {
  readonly judge: Judge;
  readonly load: Load;
  connect(hive: Pick<HiveProcess, "url" | "token">): Promise<void>;
  /** From now on nothing new is sent. */
  stopSending(): void;
  /** Waits until everything that was sent has been read and acknowledged, and looks whether all promises were kept. */
  settled(): Promise<void>;
};

export function startTraffic({ per_second = 500 }: { per_second?: number } = {}): Traffic {
  const judge = createJudge({ max_attempts: 1_000 });
  const complaints: string[] = [];
  const block = { first: 0, count: 1_000_000, time_ms: Date.now() };
  const began_ms = performance.now();
  let limit: number | undefined;
  const load = createLoad(
    {
      judge,
      agents: 10,
      connections: 3,
      content_bytes: 100,
      window: 128,
      idOf: (n) => idOf(1, n, block),
      allowance: () => limit ?? ((performance.now() - began_ms) / 1_000) * per_second,
      complain: (what) => complaints.push(what),
    },
    0,
  );
  const timer = setInterval(() => load.fill(), 10);
  return {
    judge,
    load,
    connect: (hive) => load.connect(hive),
    stopSending() {
      limit = load.next;
    },
    async settled() {
      limit = load.next;
      for (const id of judge.doubtfulIds()) {
        const message = await load.look(id);
        if (message?.acknowledged) judge.audit(message, { crashes: true });
      }
      await eventually("all mail has been read", () => judge.openCount === 0 || complaints.length > 0, 60_000);
      assert.deepEqual([...complaints, ...judge.complaints], []);
      assert.ok(judge.counts.acknowledged > 0, "nothing was sent at all");
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
