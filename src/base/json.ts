/** Any value that JSON can carry. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** `JSON.parse`, typed honestly. */
export function parseJson(text: string): unknown {
  return JSON.parse(text);
}

/** Whether two JSON values say the same; the order of an object's keys says nothing, and an absent key is `undefined`. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    if (!sameJson((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])) return false;
  }
  return true;
}

/**
 * Whether a parsed JSON value can be passed on and worked with like any other: it nests no deeper than so many levels, no number in
 * it is beyond a 64-bit float, and no field is called `__proto__`, which would become a prototype where it is assigned.
 */
export function isOrdinaryJson(value: unknown, levels: number): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0 || Object.hasOwn(value, "__proto__")) return false;
  return Object.values(value).every((it) => isOrdinaryJson(it, levels - 1));
}
