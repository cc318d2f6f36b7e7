/** A signal that comes this soon after the first is the same wish, sent to the process group and passed on by a parent. */
const same_wish_ms = 500;

export type Stop = Disposable & { readonly signal: AbortSignal };

/** Aborts at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. */
export function stopSignal(): Stop {
  const controller = new AbortController();
  let first_ms: number | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    const now = performance.now();
    first_ms ??= now;
    if (!controller.signal.aborted) controller.abort(name);
    else if (now - first_ms > same_wish_ms) process.exit(exitCodes[name] ?? 1);
  };
  const names: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const name of names) process.on(name, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}

/** 128 and the signal's number, as shells have it. */
const exitCodes: Readonly<Partial<Record<NodeJS.Signals, number>>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };
