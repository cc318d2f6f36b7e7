import type { Log } from "../../base/log.ts";
import type { CipherKeys } from "../../crypto/key-ring.ts";
import type { FromIndexer, ToIndexer } from "./indexer-protocol.ts";

/** Keeps the indexer thread going, and knows how far behind it is. */
export type IndexerClient = {
  /** Messages have been accepted or imported. */
  entered(messages: number): void;
  /** Messages have been forgotten by the database. */
  forgotten(messages: number): void;
  rebuild(reason: string): void;
  /** Resolves once it opens with these keys. */
  use(keys: CipherKeys): Promise<void>;
  receive(message: FromIndexer): void;
  /** Messages that are not in the index yet. */
  lag(): number;
  /** The thread is gone: searches do without. */
  breakDown(error: Error): void;
};

export function createIndexerClient(post: (message: ToIndexer) => void, log: Log): IndexerClient {
  let lag = 0;
  let isAsleep = false;
  /** Whether messages were entered that the thread may not have been woken for. */
  let hasNews = false;
  let isBroken = false;
  /** Whoever waits for it to take keys, in their order. */
  const waiting: (() => void)[] = [];

  function tell(message: ToIndexer): void {
    if (isBroken) return;
    isAsleep = false;
    hasNews = false;
    post(message);
  }

  return {
    entered(messages) {
      lag += messages;
      hasNews = true;
      if (isAsleep) tell({ wake: true });
    },
    forgotten: (messages) => tell({ forgotten: messages }),
    rebuild: (reason) => tell({ rebuild: reason }),
    use: (keys) =>
      new Promise((resolve) => {
        if (isBroken) return resolve();
        waiting.push(resolve);
        tell({ use: keys });
      }),
    receive(message) {
      tellOf(message, log);
      if ("ready" in message) lag += message.ready.backlog;
      if ("unlocked" in message) waiting.shift()?.();
      if ("indexed" in message) lag = Math.max(0, lag - message.indexed);
      if ("asleep" in message) fallAsleep();
    },
    lag: () => lag,
    breakDown(error) {
      isBroken = true;
      for (const resolve of waiting.splice(0)) resolve();
      log.error({ err: error }, "the search index has stopped: searches are complete, but slow, until a restart");
    },
  };

  function fallAsleep(): void {
    isAsleep = true;
    // What was entered after it had looked for the last time. Only news wakes it: the lag is a count that may be off,
    // and would keep both threads waking each other for ever.
    if (hasNews) tell({ wake: true });
    else lag = 0;
  }
}

function tellOf(message: FromIndexer, log: Log): void {
  if ("rebuilding" in message) log.warn({ reason: message.rebuilding }, "the search index is being made anew");
  if ("error" in message) log.warn({ reason: message.error.message }, "the search index could not be written");
}
