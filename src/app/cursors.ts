import type { Clock } from "../base/clock.ts";
import { parseJson } from "../base/json.ts";
import { chanceOf } from "../base/random.ts";
import { describeDuration } from "../base/time.ts";
import { BusError } from "../contract/errors.ts";
import type { Cursor } from "../contract/messages.ts";

/** Makes and reads the opaque cursors of lists. */
export type Cursors = {
  /** @param question What is being listed: a cursor answers only the question it was made for. */
  encode(question: object, place: unknown): Cursor;
  /** @throws BusError `invalid_cursor`, or `cursor_expired` when it is too old. */
  decode(question: object, cursor: Cursor): unknown;
};

export function createCursors(clock: Clock, lifetime_ms: number): Cursors {
  return {
    encode(question, place) {
      return toText([place, Math.floor(clock.now() / 1_000), fingerprint(question)]);
    },
    decode(question, cursor) {
      const [place, issued_s, print] = fromText(cursor);
      if (typeof issued_s !== "number" || print !== fingerprint(question)) {
        throw new BusError("invalid_cursor", "this cursor was made for another question; ask it again from the start");
      }
      if (clock.now() - issued_s * 1_000 > lifetime_ms) {
        throw new BusError(
          "cursor_expired",
          `this cursor is older than ${describeDuration(lifetime_ms)}; ask again from the start`,
        );
      }
      return place;
    },
  };
}

/** The position that a question's own cursor says to go on from. @throws BusError `invalid_cursor`, `cursor_expired` */
export function placeOf(cursors: Cursors, question: { readonly cursor?: Cursor }): number | undefined {
  if (question.cursor === undefined) return undefined;
  const place = cursors.decode(question, question.cursor);
  if (typeof place === "number") return place;
  throw new BusError("invalid_cursor", "this cursor was made for another question; ask it again from the start");
}

/** The cursor of an event is its position alone: it stays good as long as the events after it are kept. */
export function eventCursor(position: number): Cursor {
  return toText(["event", position]);
}

/** @throws BusError `invalid_cursor` */
export function eventPosition(cursor: Cursor): number {
  const [kind, position] = fromText(cursor);
  if (kind === "event" && Number.isSafeInteger(position) && (position as number) >= 0) return position as number;
  throw new BusError("invalid_cursor", "this is not the cursor of an event; use one that the stream has sent");
}

function toText(parts: readonly unknown[]): Cursor {
  return Buffer.from(JSON.stringify(parts)).toString("base64url") as Cursor;
}

function fromText(cursor: Cursor): readonly unknown[] {
  try {
    const parts = parseJson(Buffer.from(cursor, "base64url").toString());
    if (Array.isArray(parts)) return parts;
  } catch (cause) {
    throw new BusError("invalid_cursor", "this is not a cursor; use one that an answer has given", { cause });
  }
  throw new BusError("invalid_cursor", "this is not a cursor; use one that an answer has given");
}

function fingerprint(question: object): number {
  const fields = Object.entries(question).filter(([name]) => name !== "cursor" && name !== "limit");
  return Math.floor(chanceOf(JSON.stringify(fields.sort()), 0) * 2 ** 32);
}
