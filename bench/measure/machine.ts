import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { arch, cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import path from "node:path";

/** What the figures of a run depend on besides the code. */
export type MachineFacts = {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gib: number;
  readonly kernel: string;
  readonly node: string;
  readonly sqlite: string;
  /** Median time of writing 4 KiB and fdatasync, where the data folder lies. */
  readonly fsync_ms: number;
  /** Processes that wanted a core in the last minute before the run: above 0.5, the figures are of a shared machine. */
  readonly load_1min: number;
  readonly date: string;
};

export function machineFacts(): MachineFacts {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    kernel: `${release()} ${arch()}`,
    node: process.versions.node,
    sqlite: process.versions["sqlite"] ?? "none",
    fsync_ms: probeFsync(),
    load_1min: loadavg()[0] ?? Number.NaN,
    date: new Date().toISOString(),
  };
}

/** Median time in milliseconds of appending 4 KiB and waiting until it is on the disk, of 200. */
export function probeFsync(folder = tmpdir()): number {
  const own = mkdtempSync(path.join(folder, "fsync-probe-"));
  const file = openSync(path.join(own, "probe"), "w");
  const page = Buffer.alloc(4_096, 1);
  const times: number[] = [];
  try {
    for (let i = 0; i < 200; i++) {
      const before = performance.now();
      writeSync(file, page);
      fdatasyncSync(file);
      times.push(performance.now() - before);
    }
  } finally {
    closeSync(file);
    rmSync(own, { recursive: true });
  }
  return Math.round(median(times) * 1_000) / 1_000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper;
}
