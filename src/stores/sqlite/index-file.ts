import type { DatabaseSync } from "node:sqlite";
import { type Headers, headerTermsOf, type Term, type TermKind } from "../../core/messaging/terms.ts";
import { wordsInOrder } from "../../core/messaging/words.ts";
import type { BlindIndex } from "../../crypto/blind-index.ts";

/*
 * index.db: which messages hold which terms. It holds nothing that is not in the database, is made anew when it is missing,
 * damaged or of another version, and is never waited for by a sender.
 *
 * One inverted index for everything that can be asked, words and headers alike, so that "from ada, to bob, with these
 * words" is one intersection. FTS5 with nothing but the lists of positions: no text, no columns, no offsets.
 */

export const indexName = "index.db";
/** Counts up when what stands in the file changes its meaning: an older index is dropped and made anew. */
export const indexVersion = 3;

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
 * What was said (words, metadata) stands there under a keyed hash that tells nothing without the key: `crypto/blind-index.ts`.
 * The rest stands readable in the database anyway, and is hashed because ids are long and may hold anything. Whatever two
 * terms share a token, every hit is checked against the message itself.
 */
function tokenOf({ kind, value }: Term, blind: BlindIndex): string {
  if (kind === "word") return blind.term(kind, value);
  return mark + initials[kind] + (kind === "metadata" ? blind.term(kind, value) : hashText(value));
}

/** The text from which the tokenizer makes every token of a message. */
export function textToIndex(content: string, headers: Headers, blind: BlindIndex): string {
  let text = "";
  for (const word of wordsInOrder(content)) text += `${blind.term("word", word)} `;
  for (const term of headerTermsOf(headers)) text += `${tokenOf(term, blind)} `;
  return text;
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
export function matchExpression(groups: readonly (readonly Term[])[], blind: BlindIndex): string {
  return groups.map((group) => `(${group.map((term) => `"${tokenOf(term, blind)}"`).join(" OR ")})`).join(" AND ");
}

export function indexVersionOf(db: DatabaseSync): number {
  return Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
}
