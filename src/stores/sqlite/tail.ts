import type { DatabaseSync } from "node:sqlite";
import { type Envelope, type Text, toText } from "../../core/messaging/terms.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";
import { type MessageRow, openBody, recipientsOf } from "./rows.ts";
import { prepare } from "./statement.ts";

/**
 * What is newer than the index, which every search has to look at. While that is little, it is kept in memory: each message
 * is then read once, not once by every search.
 */
export type Tail = {
  /**
   * Reads what has been accepted since the last time, and forgets what is indexed.
   *
   * @param known The event up to which the index knows everything.
   * @returns How many messages it does not know.
   */
  update(known: number): number;
  /** Positions of those that may fit, in the order in which they were accepted: what is not kept may always. */
  find(fits: (message: TailMessage) => boolean): number[];
  /** Whether it is all kept: then what is not in it is indexed. */
  isKept(): boolean;
};

/** What can be asked of a message without reading all of it. */
export type TailMessage = Envelope & {
  readonly timestamp: string;
  /** Opened when it is first asked for: most searches ask for no words. */
  readonly text: () => Text;
};
export type EnvelopeRow = Pick<
  MessageRow,
  "from_agent" | "to_agent" | "recipients" | "conversation_id" | "priority" | "message_type" | "timestamp"
>;
export const envelopeColumns =
  "from_agent, to_agent, recipients, conversation_id, priority, message_type, timestamp" as const;

export function toEnvelope(row: EnvelopeRow): Envelope & { readonly timestamp: string } {
  const { from_agent, to_agent, conversation_id, priority, message_type, timestamp } = row;
  return { from_agent, to_agent, recipients: recipientsOf(row), conversation_id, priority, message_type, timestamp };
}

/** A longer tail is not kept: the index was begun anew, or cannot keep up. */
const mostKept = { messages: 5_000, bytes: 8 * 1024 * 1024 } as const;

export function createTail(db: DatabaseSync, cipher: FieldCipher): Tail {
  const since = prepare<{ event: number; message: number }>(
    db,
    `SELECT position AS event, message_position AS message
     FROM events WHERE position > ? AND event IN ('accepted', 'imported') ORDER BY position`,
  );
  const read = prepare<EnvelopeRow & Pick<MessageRow, "id" | "content">>(
    db,
    `SELECT ${envelopeColumns}, id, content FROM messages WHERE position = ?`,
  );

  /** Nothing is missing between the event that the index knows and the last one. */
  let [known, last] = [0, 0];
  let events: number[] = [];
  let messages: number[] = [];
  const kept = new Map<number, TailMessage & { readonly bytes: number }>();
  let bytes = 0;

  /** Drops what the index knows; where it knows less than before, or more than was read, all. */
  function forget(indexed: number): void {
    const goesOn = indexed >= known && indexed <= last;
    const unknown = goesOn ? events.findIndex((it) => it > indexed) : -1;
    const count = unknown < 0 ? events.length : unknown;
    for (const position of messages.slice(0, count)) {
      bytes -= kept.get(position)?.bytes ?? 0;
      kept.delete(position);
    }
    events = events.slice(count);
    messages = messages.slice(count);
    known = indexed;
    if (!goesOn) last = indexed;
  }

  function keep(position: number): void {
    const row = bytes < mostKept.bytes ? read.get(position) : undefined;
    if (!row || kept.has(position)) return;
    let text: Text | undefined;
    const open = () => toText(openBody(cipher, { ...row, metadata: null }).content);
    kept.set(position, {
      ...toEnvelope(row),
      bytes: row.content.length,
      text() {
        text ??= open();
        return text;
      },
    });
    bytes += row.content.length;
  }

  return {
    update(indexed) {
      forget(indexed);
      const found = since.all(last);
      for (const { event, message } of found) {
        events.push(event);
        messages.push(message);
      }
      last = found.at(-1)?.event ?? last;
      if (messages.length <= mostKept.messages) for (const { message } of found) keep(message);
      return messages.length;
    },
    find: (fits) =>
      messages.filter((position) => {
        const message = kept.get(position);
        return !message || fits(message);
      }),
    isKept: () => kept.size === messages.length,
  };
}
