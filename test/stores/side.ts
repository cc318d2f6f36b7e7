import type { LeaseRef, Page, Publication, Search, Store, StoreStatus } from "../../src/app/ports.ts";
import { defined } from "../../src/base/defined.ts";
import type { Conversation, ConversationStatus } from "../../src/contract/conversations.ts";
import type { AgentId, ConversationId, LeaseId, Message, MessageId } from "../../src/contract/messages.ts";
import { words } from "../../src/core/messaging/words.ts";
import { ada, bob, cleo, monday_ms, type TestClock } from "../support/fixtures.ts";
import type { NewMessage, SearchInput } from "./arbitraries.ts";

/** A store to which a history is played, and what the history has met there so far and may refer to. */
export type Side = {
  readonly store: Store;
  readonly clock: TestClock;
  readonly messages: MessageId[];
  readonly conversations: ConversationId[];
  readonly leases: LeaseRef[];
  /** Ids made so far: both sides make the same. */
  made: number;
};

export function sideOf(store: Store, clock: TestClock): Side {
  return { store, clock, messages: [], conversations: [], leases: [], made: 0 };
}

/** A UUIDv7 that both sides make alike; some are older than what prune leaves. */
export function makeId(side: Side): string {
  const number = ++side.made;
  const ms = monday_ms + ((number * 7) % 9) * 5_000 - 5_000;
  const time = ms.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(number).padStart(12, "0")}`;
}

const unknown_id = "01900000-0000-7000-8000-000000000000";

/** The message that a number stands for, counted from the latest; a few numbers stand for one that nobody sent. */
export function messageAt({ messages }: Side, reference: number): MessageId {
  return pick(messages, reference) ?? (unknown_id as MessageId);
}

export function conversationAt({ conversations }: Side, reference: number): ConversationId {
  return pick(conversations, reference) ?? (unknown_id as ConversationId);
}

/** With its own message; a few numbers stand for a lease that nobody was given. */
export function leaseAt(side: Side, reference: number): LeaseRef {
  const never = { message_id: messageAt(side, reference), lease_id: "no such lease" as LeaseId };
  return pick(side.leases, reference) ?? never;
}

function pick<T>(met: readonly T[], reference: number): T | undefined {
  return reference > 27 ? undefined : met.at(-1 - (reference % Math.max(1, met.length)));
}

export function meetMessage(side: Side, { id, conversation_id }: Pick<Message, "id" | "conversation_id">): void {
  if (!side.messages.includes(id)) side.messages.push(id);
  if (!side.conversations.includes(conversation_id)) side.conversations.push(conversation_id);
}

export function toPublication(side: Side, given: NewMessage): Publication {
  const { known_id, reply_to, conversation, deliver_in_ms, expires_in_ms, recipients, ...said } = given;
  const now = side.clock.now();
  const several = recipients.length > 1;
  const [first = bob] = recipients;
  const fresh_id = makeId(side) as MessageId;
  return {
    ...defined({
      ...said,
      reply_to: reply_to === undefined ? undefined : messageAt(side, reply_to),
      conversation_id: conversation === undefined ? undefined : conversationAt(side, conversation),
      deliver_at_ms: deliver_in_ms === undefined ? undefined : now + deliver_in_ms,
      expires_at_ms: expires_in_ms === undefined ? undefined : now + expires_in_ms,
      to: several ? { group: "crew" } : undefined,
    }),
    id: known_id === undefined ? fresh_id : (pick(side.messages, known_id) ?? fresh_id),
    to_agent: several ? "group:crew" : first,
    recipients,
    participants: [...new Set([said.from_agent, ...recipients])].sort(),
    offline: "hold",
    fresh_conversation_id: makeId(side) as ConversationId,
    actor: said.from_agent,
  };
}

export function toSearch(side: Side, input: SearchInput, after: number | undefined): Search {
  const { conversation, since_ago_ms, until_ago_ms, q, ...rest } = input;
  const now = side.clock.now();
  return defined({
    ...rest,
    conversation_id: conversation === undefined ? undefined : conversationAt(side, conversation),
    since_ms: since_ago_ms === undefined ? undefined : now - since_ago_ms,
    until_ms: until_ago_ms === undefined ? undefined : now - until_ago_ms,
    words: q === undefined ? undefined : words(q),
    after,
  });
}

/** All pages, one after the other, as a caller would read them. */
export async function readPages<Row>(read: (after: number | undefined) => Promise<Page<Row>>): Promise<Page<Row>[]> {
  const pages: Page<Row>[] = [];
  do pages.push(await read(pages.at(-1)?.next));
  while (pages.at(-1)?.next !== undefined && pages.length < 200);
  return pages;
}

export async function readConversations(
  { store }: Side,
  query: { participant?: AgentId | undefined; status?: ConversationStatus | undefined; limit: number },
): Promise<(readonly Conversation[])[]> {
  const pages: (readonly Conversation[])[] = [];
  do pages.push(await store.conversations.conversations(defined({ ...query, after: pages.at(-1)?.at(-1) })));
  while (pages.at(-1)?.length);
  return pages;
}

/** What the status says that every kind of store can know. */
export async function readStatus({ store }: Side): Promise<Omit<StoreStatus, "kind" | "gauges" | "observations">> {
  const { kind: _, gauges: __, observations: ___, ...common } = await store.status();
  return common;
}

/** Everything that can be seen from outside. */
export async function readAll(side: Side): Promise<unknown> {
  const { history, events, fleet } = side.store;
  return {
    messages: await Promise.all(side.messages.map((id) => history.message(id))),
    conversations: await readConversations(side, { limit: 100 }),
    inboxes: await Promise.all([ada, bob, cleo].map((it) => history.inbox(it))),
    dead: await history.deadLetters({ limit: 1_000 }),
    events: await events.events(0, 10_000),
    head: await events.head(),
    agents: await fleet.agents({}),
    status: await readStatus(side),
  };
}
