import { extname } from "node:path";
import { Worker } from "node:worker_threads";

/** A worker thread of the store: what it says goes to `receive`; a crash of it to `broken`. */
export type Thread<To> = {
  post(message: To): void;
  /** Asks it to close what it has open, and waits until it has ended. */
  close(): Promise<void>;
};

/**
 * Starts `<name>.ts` (`.js` when built) of this folder. Its first message says that it is ready.
 *
 * @throws What the thread threw while it started.
 */
export async function startThread<To, From extends object>(
  name: "writer" | "reader" | "indexer",
  options: {
    readonly data: object;
    readonly receive: (message: From) => void;
    readonly broken: (error: Error) => void;
  },
): Promise<{ readonly thread: Thread<To | { close: true }>; readonly ready: From }> {
  const worker = new Worker(new URL(`./${name}${extname(import.meta.filename)}`, import.meta.url), {
    workerData: options.data,
    name: `hivepost ${name}`,
  });
  let isClosing = false;
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  const ready = await new Promise<From>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", resolve);
  });
  worker.on("message", options.receive);
  worker.on("error", options.broken);
  void ended.then(() => {
    if (!isClosing) options.broken(new Error(`the ${name} thread has ended`));
  });
  const thread: Thread<To | { close: true }> = {
    post: (message) => worker.postMessage(message),
    async close() {
      isClosing = true;
      worker.postMessage({ close: true });
      await ended;
    },
  };
  return { thread, ready };
}
