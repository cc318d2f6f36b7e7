import type { DatabaseSync } from "node:sqlite";
import { type Headers, headerTermsOf, type Term, type TermKind } from "../../core/messaging/terms.ts";
import { isAscii, isWordAt, longestWord, words } from "../../core/messaging/words.ts";

/*
 * index.db: which messages hold which terms. It holds nothing that is not in the database, is made anew when it is missing,
 * damaged or of another version, and is never waited for by a sender.
 *
 * One inverted index for everything that can be asked, words and headers alike, so that "from ada, to bob, with these
 * words" is one intersection. FTS5 with nothing but the lists of positions: no text, no columns, no offsets.
 */

export const indexName = "index.db";
/** Counts up when what stands in the file changes its meaning: an older index is dropped and made anew. */
export const indexVersion = 2;

export const indexSchema = `
  CREATE TABLE progress (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    event_position INTEGER NOT NULL,   -- everything up to this event is in the index
    event_at_ms INTEGER NOT NULL,      -- when that event was: in a restored database another may have its place
    message_position INTEGER NOT NULL, -- of the message indexed last: events of one message may fall into two batches
    indexed INTEGER NOT NULL,          -- messages in the index
    forgotten INTEGER NOT NULL,        -- of these, how many the database has forgotten since
    boot_id TEXT NOT NULL              -- of the machine while the index is open; empty: it was closed in good order
  ) STRICT;
  INSERT INTO progress VALUES (1, 0, 0, 0, 0, 0, '');
  CREATE VIRTUAL TABLE terms USING fts5(
    list, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
  );
  -- More of it in memory before it is written, and more pieces of one size before they are merged, mean less work: together
  -- a fifth of it (measured 2026-11), while a search looks into at most so many pieces.
  INSERT INTO terms (terms, rank) VALUES ('hashsize', 8388608);
  INSERT INTO terms (terms, rank) VALUES ('automerge', 8);
  -- Merging all at once what is left of one size halts the index for seconds once it is large.
  INSERT INTO terms (terms, rank) VALUES ('crisismerge', 64);
  PRAGMA user_version = ${indexVersion};
`;

export type Progress = {
  readonly event_position: number;
  readonly event_at_ms: number;
  readonly message_position: number;
  readonly indexed: number;
  readonly forgotten: number;
  readonly boot_id: string;
};

/** Begins every token that is no word: a character that no word holds, and that the tokenizer leaves alone. */
const mark = "§";
const initials: Readonly<Record<Exclude<TermKind, "word">, string>> = {
  from: "f",
  to: "t",
  pair: "p",
  conversation: "c",
  priority: "r",
  type: "y",
  metadata: "m",
};

/**
 * A term as one token of letters, digits and what is not ASCII, so that the tokenizer cuts only at the spaces between.
 * Words stand as they are; the rest is hashed, since ids are long and may hold anything. Whatever two terms share a token,
 * every hit is checked against the message itself.
 */
function tokenOf({ kind, value }: Term): string {
  return kind === "word" ? value : mark + initials[kind] + hashText(value);
}

/** The text from which the tokenizer makes every token of a message. */
export function textToIndex(content: string, headers: Headers): string {
  const text = isCutAlike(content) ? content : words(content).join(" ");
  return `${text} ${headerTermsOf(headers).map(tokenOf).join(" ")}`;
}

/**
 * Whether the tokenizer finds the same words in a text as `words()` does: it lower-cases ASCII only, and shortens nothing.
 * Doing that once, in C, is what makes the index cheap: it halves the cost of a message.
 */
function isCutAlike(text: string): boolean {
  // NUL ends a text for SQLite.
  if (!isAscii(text) || text.includes("\0")) return false;
  // A word that is too long covers one of these places.
  for (let at = longestWord; at < text.length; at += longestWord + 1) {
    if (wordLengthAt(text, at) > longestWord) return false;
  }
  return true;
}

/** How long the word is that covers a place, as far as it matters. */
function wordLengthAt(text: string, at: number): number {
  let [start, end] = [at, at];
  while (end - start <= longestWord && isWordAt(text, end)) end++;
  while (end - start <= longestWord && isWordAt(text, start - 1)) start--;
  return isWordAt(text, at) ? end - start : 0;
}

/** 64 bits as base 36. Source: cyrb53, bryc, public domain. */
function hashText(text: string): string {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2_654_435_761);
    low = Math.imul(low ^ code, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return (high >>> 0).toString(36) + (low >>> 0).toString(36);
}

/** The question to FTS5: one token of each group. */
export function matchExpression(groups: readonly (readonly Term[])[]): string {
  return groups.map((group) => `(${group.map((term) => `"${tokenOf(term)}"`).join(" OR ")})`).join(" AND ");
}

export function indexVersionOf(db: DatabaseSync): number {
  return Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
}
