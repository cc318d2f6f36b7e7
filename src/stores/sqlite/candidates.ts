import type { DatabaseSync } from "node:sqlite";
import type { Term } from "../../core/messaging/terms.ts";
import type { IndexReading } from "./index-reading.ts";
import { prepare } from "./statement.ts";

export type Direction = "newest" | "oldest";
/** Both ends included. */
export type Range = { readonly from: number; readonly to: number; readonly direction: Direction };

export type Source = {
  readonly groups: readonly (readonly Term[])[];
  /** The event up to which the index knows everything. */
  readonly known: number;
  /** Positions outside of which nothing can fit, ascending. */
  readonly positions: Float64Array | undefined;
};

/** Asked again and again, gives the next positions in order; an empty answer is the end. */
export type NextPositions = (count: number) => number[];

export type Candidates = {
  /** Within read transactions that are open. */
  open(range: Range, source: Source): NextPositions;
  /** How many messages are newer than the index, counted up to `most`. */
  backlog(most: number): number;
};

/** Up to this many positions are gone through one by one rather than by the index. */
const fewPositions = 5_000;

export function createCandidates(db: DatabaseSync, index: IndexReading): Candidates {
  const sql = statements(db);

  function fromIndex({ from, to, direction }: Range, groups: Source["groups"]): NextPositions {
    let [low, high] = [from, to];
    return (count) => {
      const found = low <= high ? index.find(groups, { from: low, to: high, order: direction, limit: count }) : [];
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

  /** What the index does not know yet: its events are still to come. */
  function notIndexed(known: number, range: Range): number[] {
    const found = sql.sinceEvent.all(known).map((it) => it.message_position);
    return inOrder(found, range);
  }

  return {
    open(range, { groups, known, positions }) {
      if (positions && (positions.length <= fewPositions || groups.length === 0)) {
        return fromList(inOrder([...positions], range));
      }
      if (groups.length === 0) return fromMessages(range);
      return merge(fromIndex(range, groups), fromList(notIndexed(known, range)), range.direction);
    },
    backlog(most) {
      const known = index.begin();
      index.end();
      return sql.backlog.get(known, most)?.messages ?? 0;
    },
  };
}

function statements(db: DatabaseSync) {
  const range = "SELECT position FROM messages WHERE position BETWEEN ? AND ? ORDER BY position";
  return {
    newest: prepare<{ position: number }>(db, `${range} DESC LIMIT ?`),
    oldest: prepare<{ position: number }>(db, `${range} LIMIT ?`),
    sinceEvent: prepare<{ message_position: number }>(
      db,
      "SELECT message_position FROM events WHERE position > ? AND event IN ('accepted', 'imported')",
    ),
    backlog: prepare<{ messages: number }>(
      db,
      `SELECT COUNT(*) AS messages FROM
         (SELECT 1 FROM events WHERE position > ? AND event IN ('accepted', 'imported') LIMIT ?)`,
    ),
  };
}

/** Those within the range, each once, in its direction. */
function inOrder(positions: readonly number[], { from, to, direction }: Range): number[] {
  const within = [...new Set(positions.filter((it) => it >= from && it <= to))].sort((a, b) => a - b);
  return direction === "newest" ? within.reverse() : within;
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
  const a = buffered(one);
  const b = buffered(other);
  const isBefore = (x: number, y: number) => (direction === "newest" ? x > y : x < y);
  return (count) => {
    const merged: number[] = [];
    while (merged.length < count) {
      const [x, y] = [a.peek(count), b.peek(count)];
      if (x === undefined && y === undefined) break;
      if (y === undefined || (x !== undefined && !isBefore(y, x))) {
        a.take();
        if (x === y) b.take();
        merged.push(x as number); // Not undefined: either y is, or x was compared.
      } else {
        b.take();
        merged.push(y);
      }
    }
    return merged;
  };
}

function buffered(source: NextPositions) {
  let buffer: number[] = [];
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
