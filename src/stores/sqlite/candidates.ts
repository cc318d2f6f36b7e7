import type { DatabaseSync } from "node:sqlite";
import type { Term } from "../../core/messaging/terms.ts";
import type { BlindIndex } from "../../crypto/blind-index.ts";
import { matchExpression } from "./index-file.ts";
import type { IndexReading } from "./index-reading.ts";
import { prepare } from "./statement.ts";
import type { Tail, TailMessage } from "./tail.ts";

export type Direction = "newest" | "oldest";
/** Both ends included. */
export type Range = { readonly from: number; readonly to: number; readonly direction: Direction };

export type Source = {
  readonly groups: readonly (readonly Term[])[];
  /** Of what is newer than the index. */
  readonly fits: (message: TailMessage) => boolean;
  /** Positions outside of which nothing can fit, ascending. */
  readonly positions: Float64Array | undefined;
};

/** Asked again and again, gives the next positions in order; an empty answer is the end. */
export type NextPositions = (count: number) => number[];

/** Within read transactions that are open, with a tail that is up to date. */
export type OpenCandidates = (range: Range, source: Source) => NextPositions;

/** Up to this many positions are gone through one by one rather than by the index. */
const fewPositions = 5_000;

export function createCandidates(
  db: DatabaseSync,
  index: IndexReading,
  { tail, vault }: { readonly tail: Tail; readonly vault: BlindIndex },
): OpenCandidates {
  const sql = statements(db);

  function fromIndex({ from, to, direction }: Range, groups: Source["groups"]): NextPositions {
    let [low, high] = [from, to];
    const match = matchExpression(groups, vault);
    return (count) => {
      const found = low <= high ? index.find(match, { from: low, to: high, order: direction, limit: count }) : [];
      const last = found.at(-1);
      if (last === undefined) low = high + 1;
      else if (direction === "newest") high = last - 1;
      else low = last + 1;
      return found;
    };
  }

  function fromMessages({ from, to, direction }: Range): NextPositions {
    let [low, high] = [from, to];
    const statement = direction === "newest" ? sql.newest : sql.oldest;
    return (count) => {
      const found = statement.all(low, high, count).map((it) => it.position);
      const last = found.at(-1);
      if (last !== undefined && direction === "newest") high = last - 1;
      else if (last !== undefined) low = last + 1;
      return found;
    };
  }

  return (range, { groups, fits, positions }) => {
    if (positions && (positions.length <= fewPositions || groups.length === 0)) return fromSorted(positions, range);
    if (groups.length === 0) return fromMessages(range);
    return merge(fromIndex(range, groups), fromList(inOrder(tail.find(fits), range)), range.direction);
  };
}

function statements(db: DatabaseSync) {
  const range = "SELECT position FROM messages WHERE position BETWEEN ? AND ? ORDER BY position";
  return {
    newest: prepare<{ position: number }>(db, `${range} DESC LIMIT ?`),
    oldest: prepare<{ position: number }>(db, `${range} LIMIT ?`),
  };
}

/** Those within the range, each once, in its direction. */
function inOrder(positions: readonly number[], { from, to, direction }: Range): number[] {
  const within = [...new Set(positions.filter((it) => it >= from && it <= to))].sort((a, b) => a - b);
  return direction === "newest" ? within.reverse() : within;
}

/** From an ascending list. */
function fromSorted(positions: Float64Array, { from, to, direction }: Range): NextPositions {
  let low = firstIndex(positions, (it) => it >= from);
  let high = firstIndex(positions, (it) => it > to);
  return (count) => {
    const next =
      direction === "newest"
        ? positions.slice(Math.max(low, high - count), high).reverse()
        : positions.slice(low, Math.min(high, low + count));
    if (direction === "newest") high -= next.length;
    else low += next.length;
    return [...next];
  };
}

/** The first index whose value is so; everything after it must be so too. */
function firstIndex(values: Float64Array, isSo: (value: number) => boolean): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isSo(values[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function includesSorted(values: Float64Array, value: number): boolean {
  return values[firstIndex(values, (it) => it >= value)] === value;
}

function fromList(positions: readonly number[]): NextPositions {
  let from = 0;
  return (count) => {
    const next = positions.slice(from, from + count);
    from += next.length;
    return next;
  };
}

/** Two sources in one order; what both give comes once. */
function merge(one: NextPositions, other: NextPositions, direction: Direction): NextPositions {
  const sources = [buffered(one), buffered(other)] as const;
  const isBefore = (x: number, y: number) => (direction === "newest" ? x > y : x < y);

  function next(count: number): number | undefined {
    const [x, y] = [sources[0].peek(count), sources[1].peek(count)];
    const first = x === undefined || (y !== undefined && isBefore(y, x)) ? y : x;
    for (const source of sources) if (source.peek(count) === first) source.take();
    return first;
  }

  return (count) => {
    const merged: number[] = [];
    for (let it = next(count); it !== undefined; it = merged.length < count ? next(count) : undefined) merged.push(it);
    return merged;
  };
}

function buffered(source: NextPositions) {
  let buffer: readonly number[] = [];
  let at = 0;
  return {
    peek(count: number): number | undefined {
      if (at === buffer.length) {
        buffer = source(count);
        at = 0;
      }
      return buffer[at];
    },
    take(): void {
      at += 1;
    },
  };
}
