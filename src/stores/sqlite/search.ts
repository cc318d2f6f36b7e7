import type { DatabaseSync } from "node:sqlite";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { Page, Search } from "../../app/ports.ts";
import { toTimestamp } from "../../base/time.ts";
import type { Message } from "../../contract/messages.ts";
import { positionAt } from "../../core/messaging/positions.ts";
import {
  type Envelope,
  holdsScalars,
  holdsWords,
  matchesEnvelope,
  type Term,
  termsToFind,
  toText,
} from "../../core/messaging/terms.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";
import type { Vault } from "../../crypto/vault.ts";
import { createCandidates, includesSorted, type NextPositions, type Range } from "./candidates.ts";
import type { IndexReading } from "./index-reading.ts";
import type { ReaderQuestions } from "./reader-protocol.ts";
import { type Body, type MessageRow, messageColumns, openBody, toMessage } from "./rows.ts";
import { readMeta } from "./schema.ts";
import { prepare } from "./statement.ts";
import { createTail, type EnvelopeRow, envelopeColumns, type Tail, type TailMessage, toEnvelope } from "./tail.ts";

/*
 * A search goes through positions that may fit, in the order asked for, and checks each message exactly, until the page is
 * full. Where the positions come from (`candidates.ts`): the index where terms are asked for, together with what is newer
 * than the index, so that nothing accepted is missed; a list, where only a few messages are in the state asked for; all
 * messages of the time range, where nothing else is asked.
 *
 * Short read transactions: a long one would keep the write-ahead log from being reused.
 */

/** After this long a search lets others have the thread, and looks at the newest state when it goes on. */
const slice_ms = 100;
/** How many positions at a time: first about a page, then more, since few of them seem to fit. */
const mostAtOnce = 2_000;
/** When more messages than this are newer than the index, it is given a moment: checking them one by one takes longer. */
const longBacklog = 5_000;
const indexerMoment_ms = 20;
const indexerMoments = 10;

type Question = ReaderQuestions["search"]["question"];

export function createSearch(
  db: DatabaseSync,
  index: IndexReading,
  vault: Vault,
): (question: Question) => Promise<Page<Message>> {
  const tail = createTail(db, vault);
  const candidates = createCandidates(db, index, { tail, vault });
  const check = createCheck(db, tail, vault);

  function backlog(): number {
    const known = index.begin();
    index.end();
    return tail.update(known);
  }

  /** One slice of a search. @returns Whether there is more to look at. */
  function runSlice(question: Question, groups: readonly (readonly Term[])[], progress: Progress): boolean {
    const known = index.begin();
    db.exec("BEGIN");
    try {
      // Found once per search: gathering what the index does not know takes longer than a slice when that is much. Anew
      // only where the index has been begun anew meanwhile, and knows less than it did.
      if (!progress.candidates || known < progress.known) {
        progress.known = known;
        if (groups.length > 0) tail.update(known);
        progress.candidates = openCandidates(question, groups, progress);
      }
      return collect(question.search, progress, progress.candidates);
    } finally {
      db.exec("COMMIT");
      index.end();
    }
  }

  function openCandidates(
    { search, positions }: Question,
    groups: readonly (readonly Term[])[],
    { after }: Progress,
  ): NextPositions {
    const range = rangeOf(db, search, after);
    const fits = (message: TailMessage) =>
      fitsEnvelope(message, search) && (!search.words || holdsWords(message.text(), search.words));
    return range ? candidates(range, { groups, fits, positions }) : () => [];
  }

  function collect(search: Search, progress: Progress, next: NextPositions): boolean {
    const stop_ms = performance.now() + slice_ms;
    for (let positions = next(progress.count); positions.length > 0; positions = next(progress.count)) {
      if (!lookAt(positions, search, progress)) return false;
      progress.count = Math.min(2 * progress.count, mostAtOnce);
      if (performance.now() > stop_ms) return true;
    }
    return false;
  }

  /** @returns Whether there is room for more. */
  function lookAt(positions: readonly number[], search: Search, progress: Progress): boolean {
    for (const position of positions) {
      progress.after = position;
      const message = check(position, search, progress.isInState);
      if (message) progress.found.push({ position, message });
      if (progress.found.length > search.limit) return false;
    }
    return true;
  }

  return async (question) => {
    const { search, positions } = question;
    const groups = termsToFind(search);
    if (groups.length > 0) await waitForIndexer(backlog);
    const isInState = positions && ((position: number) => includesSorted(positions, position));
    const count = search.limit + 1;
    const progress: Progress = { after: search.after, found: [], count, isInState, candidates: undefined, known: 0 };
    while (runSlice(question, groups, progress)) await setImmediate();
    return toPage(progress.found, search.limit);
  };
}

type Found = { readonly position: number; readonly message: Message };
type Progress = {
  /** The last position looked at. */
  after: number | undefined;
  readonly found: Found[];
  /** How many positions to ask for next. */
  count: number;
  candidates: NextPositions | undefined;
  /** The event up to which the index knew everything when the candidates were found. */
  known: number;
  /** Whether a message has a delivery in the state asked for, where memory knows it. */
  readonly isInState: ((position: number) => boolean) | undefined;
};

function toPage(found: readonly Found[], limit: number): Page<Message> {
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return { rows: page.map((it) => it.message), ...(found.length > limit && last && { next: last.position }) };
}

async function waitForIndexer(backlog: () => number): Promise<void> {
  for (let moment = 0; moment < indexerMoments && backlog() > longBacklog; moment++) await setTimeout(indexerMoment_ms);
}

/** The positions a search can concern, both ends included; undefined for none. Positions never stand before their time. */
function rangeOf(db: DatabaseSync, search: Search, after: number | undefined): Range | undefined {
  const { since_ms, until_ms, order } = search;
  const skew_ms = readMeta(db, "skew_ms") ?? 0;
  let from = since_ms === undefined ? 0 : positionAt(since_ms);
  let to = until_ms === undefined ? Number.MAX_SAFE_INTEGER : positionAt(until_ms + skew_ms + 1);
  if (after !== undefined && order === "newest") to = Math.min(to, after - 1);
  if (after !== undefined && order === "oldest") from = Math.max(from, after + 1);
  return from <= to ? { from, to, direction: order } : undefined;
}

/**
 * Reads a message and checks everything that was asked. Most of what the index does not know yet does not fit; where that is
 * not sorted out already, the columns that are read soonest are checked first.
 */
function createCheck(db: DatabaseSync, tail: Tail, cipher: FieldCipher) {
  const envelope = prepare<EnvelopeRow>(db, `SELECT ${envelopeColumns} FROM messages WHERE position = ?`);
  const whole = prepare<MessageRow>(db, `SELECT ${messageColumns} FROM messages AS m WHERE m.position = ?`);
  const inState = prepare<object>(db, "SELECT 1 FROM deliveries WHERE message_position = ? AND state = ? LIMIT 1");

  function mayFit(position: number, search: Search, isInState: Progress["isInState"]): boolean {
    if (isInState && !isInState(position)) return false;
    if (tail.isKept() || !asksEnvelope(search)) return true;
    const row = envelope.get(position);
    return !!row && fitsEnvelope(toEnvelope(row), search);
  }

  return (position: number, search: Search, isInState: Progress["isInState"]): Message | undefined => {
    const row = mayFit(position, search, isInState) ? whole.get(position) : undefined;
    if (!row || !fitsEnvelope(toEnvelope(row), search)) return undefined;
    if (search.state && !isInState && !inState.get(position, search.state)) return undefined;
    const body = openBody(cipher, row);
    return holdsBody(body, search) ? toMessage(cipher, row, body) : undefined;
  };
}

/** Whether more is asked for than words, metadata, state and time. */
function asksEnvelope({ words: _, metadata: __, ...search }: Search): boolean {
  return termsToFind(search).length > 0;
}

function holdsBody({ content, metadata }: Body, { words, metadata: asked }: Search): boolean {
  return (!words || holdsWords(toText(content), words)) && holdsScalars(metadata, asked);
}

function fitsEnvelope(message: Envelope & { readonly timestamp: string }, search: Search): boolean {
  const { since_ms, until_ms } = search;
  return (
    matchesEnvelope(message, search) &&
    (since_ms === undefined || message.timestamp >= toTimestamp(since_ms)) &&
    (until_ms === undefined || message.timestamp < toTimestamp(until_ms))
  );
}
