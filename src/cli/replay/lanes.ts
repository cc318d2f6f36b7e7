/** Lets through as long as `open()`; looks again at each `notify()`. */
export type Gate = { pass(): Promise<void>; notify(): void };

export function createGate(open: () => boolean): Gate {
  let waiting: PromiseWithResolvers<void> | undefined;
  return {
    async pass() {
      while (!open()) {
        waiting ??= Promise.withResolvers();
        await waiting.promise;
      }
    },
    notify() {
      if (!waiting || !open()) return;
      waiting.resolve();
      waiting = undefined;
    },
  };
}

/** Does `work` for each item, in order of the items and at most `width` at a time. The first error stops it. */
export async function inLanes<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  let running = 0;
  let failed: { readonly error: unknown } | undefined;
  const free = createGate(() => running < width || failed !== undefined);
  const done = createGate(() => running === 0);
  const run = async (item: Item) => {
    try {
      await work(item);
    } catch (error) {
      failed ??= { error };
    } finally {
      running -= 1;
      free.notify();
      done.notify();
    }
  };
  for await (const item of items) {
    await free.pass();
    if (failed) break;
    running += 1;
    void run(item);
  }
  await done.pass();
  if (failed) throw failed.error;
}
