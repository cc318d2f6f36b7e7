import type { Store } from "../../src/app/ports.ts";
import type { Chance } from "./chance.ts";

/**
 * Stands between the bus and its store, and lets one intent through at a time, in an order that chance decides: whatever
 * runs at the same time in the bus is interleaved in every way that seeds can think of, and the same seed repeats it.
 */
export type Gate = {
  /** The store as the bus sees it. */
  readonly store: Store;
  /** Lets intents through until nobody in the bus waits for the store any more, or until so many have passed. */
  drain(most?: number): Promise<void>;
  /** The process dies: what has not been let through never happens, and nobody gets an answer any more. */
  kill(): void;
};

/** What was asked of which port and how the store answered, before the bus hears of it. What it throws, `drain` throws. */
export type Witness = (intent: string, input: readonly unknown[], output: unknown) => void | Promise<void>;

type Waiting = { readonly run: () => Promise<void> };
type Port = Readonly<Record<string, (...input: unknown[]) => unknown>>;

/** Ports whose calls are let through one at a time; reading the event log has its own pace in every store. */
const ordered = ["deliveries", "history", "conversations", "fleet"] as const;

export function createGate(store: Store, chance: Chance, witness: Witness): Gate {
  const waiting: Waiting[] = [];
  let alive = true;

  const guarded = (name: (typeof ordered)[number]): unknown => {
    // Each port is an object of functions, which is all that matters here.
    const port = store[name] as unknown as Port;
    const calls = Object.entries(port).map(([intent, call]) => [
      intent,
      (...input: unknown[]) => {
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        const run = async () => {
          const [answer] = await Promise.allSettled([call(...input)]);
          if (answer.status === "fulfilled") await witness(intent, input, answer.value);
          if (!alive) return;
          if (answer.status === "fulfilled") resolve(answer.value);
          else reject(answer.reason);
        };
        if (alive) waiting.push({ run });
        return promise;
      },
    ]);
    return Object.fromEntries(calls);
  };

  const ports = Object.fromEntries(ordered.map((name) => [name, guarded(name)])) as Pick<
    Store,
    (typeof ordered)[number]
  >;
  return {
    store: {
      ...ports,
      events: store.events,
      tokens: store.tokens,
      keys: store.keys,
      auditHead: store.auditHead,
      status: () => store.status(),
      [Symbol.asyncDispose]: async () => {},
    },
    async drain(most = Number.POSITIVE_INFINITY) {
      for (let passed = 0; passed < most; passed++) {
        // A turn of the event loop: everyone who got an answer goes on until the next question to the store.
        await new Promise((resolve) => setImmediate(resolve));
        if (waiting.length === 0) return;
        const [next] = waiting.splice(chance.between(0, waiting.length - 1), 1);
        await next?.run();
      }
    },
    kill() {
      alive = false;
      waiting.length = 0;
    },
  };
}
