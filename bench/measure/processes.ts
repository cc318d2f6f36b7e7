import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks of the kernel in one second; `getconf CLK_TCK` is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** CPU a process and all its threads, ended ones too, have used since it started: user and system, in milliseconds. */
export function cpuOfProcess(pid: number): number {
  return ticksIn(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** CPU of each living thread of a process, in milliseconds, the busiest first; the first thread is called `main`. */
export function cpuOfThreads(pid: number): { readonly name: string; readonly tid: number; readonly cpu_ms: number }[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((tid) => {
      const stat = readThread(pid, tid);
      if (stat === undefined) return [];
      const name = tid === String(pid) ? "main" : stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
      return [{ name, tid: Number(tid), cpu_ms: ticksIn(stat) }];
    })
    .sort((a, b) => b.cpu_ms - a.cpu_ms);
}

/** Resident memory of a process now, and the most it ever had, in bytes. */
export function memoryOfProcess(pid: number): { readonly resident_bytes: number; readonly peak_bytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN);
  return { resident_bytes: kibibytes("VmRSS") * 1_024, peak_bytes: kibibytes("VmHWM") * 1_024 };
}

/** A thread may end between the listing and the reading; then it is no longer of interest. */
function readThread(pid: number, tid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH"))
      return undefined;
    throw error;
  }
}

/** Fields 14 and 15 of proc(5) stat, counted after the name, which may hold spaces and brackets. */
function ticksIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
}
