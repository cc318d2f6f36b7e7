import { defined } from "../../base/defined.ts";
import type { AgentId, ConversationId, MessageType, Priority } from "../../contract/messages.ts";
import { isAscii, isWordAt, longestWord, metadataScalars, words } from "./words.ts";

/** What of a message can be asked for, but its words and its metadata. */
export type Envelope = {
  readonly from_agent: string;
  /** The agent, or the address as text. */
  readonly to_agent: string;
  readonly recipients: readonly string[];
  readonly conversation_id: string;
  readonly priority: string;
  readonly message_type: string;
};

/** All but its words. */
export type Headers = Envelope & { readonly metadata: unknown };

/** What can be asked: all that is given must hold. */
export type Conditions = {
  readonly participant?: AgentId;
  readonly with?: AgentId;
  readonly from_agent?: AgentId;
  readonly to_agent?: AgentId;
  readonly conversation_id?: ConversationId;
  readonly priority?: Priority;
  readonly message_type?: MessageType;
  readonly words?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
  /** Sent by or to this agent, besides what else is asked. */
  readonly visible_to?: AgentId;
};

/** One fact about a message that an index can hold. */
export type Term = { readonly kind: TermKind; readonly value: string };
export type TermKind = "from" | "to" | "pair" | "conversation" | "priority" | "type" | "metadata" | "word";

/**
 * Every term of a message but its `words()`, none twice. An index of both finds at least the messages that fit a question; what
 * it finds is checked once more, so an index may confuse terms (hash, shorten or encrypt them), but never miss one.
 */
export function headerTermsOf(message: Headers): Term[] {
  const receivers = [...new Set([message.to_agent, ...message.recipients])];
  const scalars = new Set(metadataScalars(message.metadata).map(scalarText));
  return [
    { kind: "from", value: message.from_agent },
    ...receivers.map((value): Term => ({ kind: "to", value })),
    ...unique(receivers.map((it) => pairText(message.from_agent, it))).map((value): Term => ({ kind: "pair", value })),
    { kind: "conversation", value: message.conversation_id },
    { kind: "priority", value: message.priority },
    { kind: "type", value: message.message_type },
    ...[...scalars].map((value): Term => ({ kind: "metadata", value })),
  ];
}

/** What to look up for a question: one term of each group must be there. No groups: the index cannot help. */
export function termsToFind(asked: Conditions): Term[][] {
  const groups: Term[][] = [...between(asked), ...between(defined({ participant: asked.visible_to }))];
  if (asked.from_agent) groups.push([{ kind: "from", value: asked.from_agent }]);
  if (asked.to_agent) groups.push([{ kind: "to", value: asked.to_agent }]);
  if (asked.conversation_id) groups.push([{ kind: "conversation", value: asked.conversation_id }]);
  if (asked.priority) groups.push([{ kind: "priority", value: asked.priority }]);
  if (asked.message_type) groups.push([{ kind: "type", value: asked.message_type }]);
  for (const scalar of Object.entries(asked.metadata ?? {})) {
    groups.push([{ kind: "metadata", value: scalarText(scalar) }]);
  }
  for (const word of asked.words ?? []) groups.push([{ kind: "word", value: word }]);
  return groups;
}

/** Whether everything holds of a message that was asked of its envelope. */
export function matchesEnvelope(message: Envelope, asked: Conditions): boolean {
  return (
    (asked.from_agent === undefined || message.from_agent === asked.from_agent) &&
    (asked.to_agent === undefined || isTo(message, asked.to_agent)) &&
    (asked.conversation_id === undefined || message.conversation_id === asked.conversation_id) &&
    (asked.priority === undefined || message.priority === asked.priority) &&
    (asked.message_type === undefined || message.message_type === asked.message_type) &&
    isBetween(message, asked) &&
    isBetween(message, defined({ participant: asked.visible_to }))
  );
}

function between({ participant, with: other }: Conditions): Term[][] {
  if (participant && other) return [[{ kind: "pair", value: pairText(participant, other) }]];
  const one = participant ?? other;
  if (!one) return [];
  return [
    [
      { kind: "from", value: one },
      { kind: "to", value: one },
    ],
  ];
}

function isBetween(message: Envelope, { participant, with: other }: Conditions): boolean {
  if (participant && other) {
    return (
      (message.from_agent === participant && isTo(message, other)) ||
      (message.from_agent === other && isTo(message, participant))
    );
  }
  const one = participant ?? other;
  return one === undefined || message.from_agent === one || isTo(message, one);
}

function isTo(message: Envelope, agent_id: string): boolean {
  return message.to_agent === agent_id || message.recipients.includes(agent_id);
}

/** Whether a message's metadata has every value asked for. */
export function holdsScalars(metadata: unknown, asked: Conditions["metadata"]): boolean {
  const wanted = Object.entries(asked ?? {}).map(scalarText);
  if (wanted.length === 0) return true;
  const scalars = new Set(metadataScalars(metadata).map(scalarText));
  return wanted.every((it) => scalars.has(it));
}

/** A content as words are looked for in it. */
export type Text = {
  readonly content: string;
  /** In lower case, where it is ASCII: cutting a text into words is slow, and in such a text a word stands as it is written. */
  readonly lower: string | undefined;
};

export function toText(content: string): Text {
  return { content, lower: isAscii(content) ? content.toLowerCase() : undefined };
}

/** Whether a message's content has every word asked for. */
export function holdsWords({ content, lower }: Text, asked: Conditions["words"]): boolean {
  if (!asked || asked.length === 0) return true;
  const isPlain = (word: string) => word !== "" && word.length < longestWord && isAscii(word);
  if (lower !== undefined && asked.every(isPlain)) return asked.every((it) => standsIn(lower, it));
  const present = new Set(words(content));
  return asked.every((it) => present.has(it));
}

/** Whether a word stands in a text by itself, not within a longer one. */
function standsIn(lower: string, word: string): boolean {
  for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, at + 1)) {
    if (!isWordAt(lower, at - 1) && !isWordAt(lower, at + word.length)) return true;
  }
  return false;
}

/** The order of the two says nothing, and ids hold no space. */
function pairText(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}

/** A path may hold any character, so its length keeps `a=` `b` apart from `a` `=b`. */
function scalarText([path, value]: readonly [path: string, value: string]): string {
  return `${path.length}:${path}=${value}`;
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
