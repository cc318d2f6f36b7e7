import { cpuOfProcess, cpuOfThreads, memoryOfProcess } from "../measure/processes.ts";

/** What went on between the opening and the closing of the window in which a run is measured. */
export type Window = {
  readonly seconds: number;
  readonly messages: number;
  readonly per_second: number;
  /** The least that any whole second of it saw: how steady the rate was. */
  readonly slowest_second: number;
  readonly server_cpu_us_per_message: number;
  readonly client_cpu_us_per_message: number;
  /** The server's busiest threads, in milliseconds of CPU per second. */
  readonly server_threads: readonly string[];
  readonly server_resident_mib: number;
  readonly server_peak_mib: number;
};

/**
 * Watches until the window closes.
 *
 * @param doneSoFar How many messages have gone all their way since the run began.
 */
export async function watchWindow(seconds: number, server_pid: number, doneSoFar: () => number): Promise<Window> {
  const start = performance.now();
  const messagesBefore = doneSoFar();
  const serverBefore = cpuOfProcess(server_pid);
  const threadsBefore = new Map(cpuOfThreads(server_pid).map(({ tid, cpu_ms }) => [tid, cpu_ms]));
  const clientBefore = process.cpuUsage();
  const slowest_second = await slowestSecond(seconds, doneSoFar);
  const elapsed_s = (performance.now() - start) / 1_000;
  const messages = doneSoFar() - messagesBefore;
  const client = process.cpuUsage(clientBefore);
  const memory = memoryOfProcess(server_pid);
  return {
    seconds: round(elapsed_s, 2),
    messages,
    per_second: Math.round(messages / elapsed_s),
    slowest_second,
    server_cpu_us_per_message: round(((cpuOfProcess(server_pid) - serverBefore) * 1_000) / messages, 1),
    client_cpu_us_per_message: round((client.user + client.system) / messages, 1),
    server_threads: cpuOfThreads(server_pid)
      .map(({ name, tid, cpu_ms }) => ({
        name,
        busy: Math.round((cpu_ms - (threadsBefore.get(tid) ?? 0)) / elapsed_s),
      }))
      .filter(({ busy }) => busy > 5)
      .map(({ name, busy }) => `${name} ${busy}`),
    server_resident_mib: Math.round(memory.resident_bytes / 2 ** 20),
    server_peak_mib: Math.round(memory.peak_bytes / 2 ** 20),
  };
}

function slowestSecond(seconds: number, doneSoFar: () => number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let slowest = Number.POSITIVE_INFINITY;
  let before = doneSoFar();
  let left = seconds;
  const timer = setInterval(() => {
    slowest = Math.min(slowest, doneSoFar() - before);
    before = doneSoFar();
    if (--left > 0) return;
    clearInterval(timer);
    resolve(slowest);
  }, 1_000);
  return promise;
}

function round(value: number, places: number): number {
  return Math.round(value * 10 ** places) / 10 ** places;
}
