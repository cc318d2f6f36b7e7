import { createHash } from "node:crypto";
import type { BusEvent } from "../../contract/events.ts";
import type { AgentId, Message, MessageId, Priority } from "../../contract/messages.ts";

/** One message of the replay: what should come of it, and what has. */
export type Sent = {
  readonly id: MessageId;
  readonly line: number;
  readonly from: AgentId;
  readonly to: AgentId;
  readonly conversation: string;
  readonly priority: Priority;
  readonly digest: string;
  readonly sent_ms: number;
  /** How long acceptance and the first delivery took; undefined while they have not happened. */
  accept_ms: number | undefined;
  delivery_ms: number | undefined;
  deliveries: number;
  /** Steps in the ledger. */
  accepted: number;
  acknowledged: number;
};

/** Keeps the score of a replay: every message accepted, delivered to the right agent in order, acknowledged, each once. */
export type Scoreboard = {
  readonly sent: ReadonlyMap<MessageId, Sent>;
  readonly counts: Readonly<Counts>;
  readonly problems: Problems;
  enter(message: Omit<Sent, "accept_ms" | "delivery_ms" | "deliveries" | "accepted" | "acknowledged">): Sent;
  refused(id: MessageId, problem: string): void;
  delivered(recipient: AgentId, message: Message, now_ms: number): void;
  announced(event: BusEvent): void;
  /** Adds what is missing at the end to the problems. */
  close(): void;
};

export type Counts = {
  /** Messages the bus did not take. */
  refused: number;
  /** Messages handled by their recipient. */
  handled: number;
  /** Messages whose acknowledgement the ledger has. */
  acknowledged: number;
  redelivered: number;
  /** Mail that is none of this replay's. */
  foreign: number;
};

/** What went wrong: all of it counted, the first few in words. */
export type Problems = { readonly count: number; readonly texts: readonly string[]; add(text: string): void };

const problems_shown = 20;

export function createProblems(): Problems {
  const texts: string[] = [];
  let count = 0;
  return {
    get count() {
      return count;
    },
    texts,
    add(text) {
      count += 1;
      if (texts.length < problems_shown) texts.push(text);
    },
  };
}

export function createScoreboard(problems: Problems): Scoreboard {
  const sent = new Map<MessageId, Sent>();
  const refused = new Set<MessageId>();
  const lastLine = new Map<string, number>();
  const counts: Counts = { refused: 0, handled: 0, acknowledged: 0, redelivered: 0, foreign: 0 };
  return {
    sent,
    counts,
    problems,
    enter(message) {
      const untouched = { accept_ms: undefined, delivery_ms: undefined, deliveries: 0, accepted: 0, acknowledged: 0 };
      const entry: Sent = { ...message, ...untouched };
      sent.set(entry.id, entry);
      return entry;
    },
    refused(id, problem) {
      refused.add(id);
      counts.refused = refused.size;
      problems.add(problem);
    },
    delivered(recipient, message, now_ms) {
      const entry = sent.get(message.id);
      if (!entry) counts.foreign += 1;
      else if (++entry.deliveries > 1) counts.redelivered += 1;
      else {
        counts.handled += 1;
        entry.delivery_ms = now_ms - entry.sent_ms;
        for (const problem of problemsOfDelivery(entry, recipient, message, lastLine)) problems.add(problem);
      }
    },
    announced({ event, message_id }) {
      const entry = message_id && sent.get(message_id);
      if (!entry) return;
      if (event === "accepted") entry.accepted += 1;
      if (event === "acknowledged" && ++entry.acknowledged === 1) counts.acknowledged += 1;
    },
    close() {
      const accepted = [...sent.values()].filter((it) => !refused.has(it.id));
      for (const problem of accepted.flatMap(problemsAtTheEnd)) problems.add(problem);
    },
  };
}

/** @param lastLine Recipient and priority → the last line delivered there; brought up to date here. */
function problemsOfDelivery(
  entry: Sent,
  recipient: AgentId,
  message: Message,
  lastLine: Map<string, number>,
): string[] {
  const queue = `${entry.to} ${entry.priority}`;
  const before = lastLine.get(queue) ?? 0;
  lastLine.set(queue, Math.max(before, entry.line));
  const what = `line ${entry.line} (${entry.id})`;
  return [
    recipient === entry.to ? "" : `${what} is for ${entry.to} and was delivered to ${recipient}`,
    message.from_agent === entry.from ? "" : `${what} is from ${entry.from}, not from ${message.from_agent}`,
    digestOf(message.content) === entry.digest ? "" : `${what} was delivered with another text`,
    entry.line > before ? "" : `${what} was delivered to ${entry.to} after line ${before}`,
  ].filter(Boolean);
}

function problemsAtTheEnd({ line, id, to, accepted, deliveries, acknowledged }: Sent): string[] {
  const what = `line ${line} (${id})`;
  return [
    accepted === 1 ? "" : `${what} was accepted ${accepted} times, says the ledger`,
    deliveries > 0 ? "" : `${what} was never delivered to ${to}`,
    acknowledged === 1 ? "" : `${what} was acknowledged ${acknowledged} times, says the ledger`,
  ].filter(Boolean);
}

/** Stands for a text, so that a long log need not be held in memory. */
export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("base64").slice(0, 22);
}
