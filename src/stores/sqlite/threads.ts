import { extname } from "node:path";
import { Worker } from "node:worker_threads";

export type Thread<To, From> = {
  post(message: To | { readonly close: true }): void;
  /** Its first message, which says that it is ready; rejects with what it threw while it started. */
  readonly ready: Promise<From>;
  /** Asks it to close what it has open, and waits until it has ended. */
  close(): Promise<void>;
};

/**
 * Starts `<name>.ts` (`.js` when built) of this folder as a worker thread. What it says after it is ready goes to
 * `receive`; a crash after that to `broken`.
 */
export function startThread<To, From>(
  name: "writer" | "checkpointer" | "reader" | "indexer",
  options: {
    readonly data: object;
    readonly receive: (message: From) => void;
    readonly broken: (error: Error) => void;
  },
): Thread<To, From> {
  const worker = new Worker(new URL(`./${name}${extname(import.meta.filename)}`, import.meta.url), {
    workerData: options.data,
    name: `hivepost ${name}`,
    // By default each thread's young objects may take up to 48 MiB before they are looked through.
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  let isClosing = false;
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  const ready = new Promise<From>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (message: From) => {
      resolve(message);
      worker.on("message", options.receive);
      worker.on("error", options.broken);
      void ended.then(() => {
        if (!isClosing) options.broken(new Error(`the ${name} thread has ended`));
      });
    });
  });
  return {
    post: (message) => worker.postMessage(message),
    ready,
    async close() {
      isClosing = true;
      worker.postMessage({ close: true });
      await ended;
    },
  };
}
