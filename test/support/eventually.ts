import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

/** Waits until `look` gives something that is neither undefined nor false, and returns it; fails after `within_ms`. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  within_ms = 10_000,
): Promise<Exclude<T, undefined | false>> {
  const deadline_ms = performance.now() + within_ms;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (performance.now() > deadline_ms) assert.fail(`within ${within_ms} ms it never happened that ${what}`);
    await sleep(5);
  }
}
