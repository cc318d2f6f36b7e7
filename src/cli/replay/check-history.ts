import type { Client } from "../../client/client.ts";
import type { AgentId, ConversationId, Message, MessageId } from "../../contract/messages.ts";
import type { Input } from "../../contract/operations.ts";
import { inLanes } from "./lanes.ts";
import { digestOf, type Problems, type Sent } from "./scoreboard.ts";
import type { Conversations } from "./stage.ts";

/** Queries under way at a time. */
const width = 64;
const pairs_sampled = 200;
const words_sampled = 100;
const page = 500;

/** What was asked of the history after a replay; whatever it answers wrongly is added to the problems. */
export type CheckedHistory = { readonly conversations: number; readonly pairs: number; readonly words: number };

export type HistoryCheck = {
  readonly client: Pick<Client, "searchMessages">;
  readonly run: string;
  readonly sent: readonly Sent[];
  readonly conversations: Conversations;
  readonly problems: Problems;
  readonly onQuery: (done: number) => void;
};

/** Asks the history for every conversation whole, and for a sample of pairs and of single words. */
export async function checkHistory(check: HistoryCheck): Promise<CheckedHistory> {
  const { sent, conversations } = check;
  let done = 0;
  const tick = () => check.onQuery(++done);
  const texts = new Map<MessageId, string>();
  const wanted = new Set(sample(sent, words_sampled).map((it) => it.id));

  const byConversation = Map.groupBy(sent, (it) => it.conversation);
  await inLanes(byConversation, width, async ([name, expected]) => {
    const conversation_id = conversations.get(name);
    if (conversation_id === undefined) return;
    for (const [id, text] of await checkConversation(check, conversation_id, expected)) {
      if (wanted.has(id)) texts.set(id, text);
    }
    tick();
  });

  const betweenTwo = sent.filter((it) => it.from !== it.to);
  const pairs = sample([...Map.groupBy(betweenTwo, (it) => [it.from, it.to].sort().join(" ")).values()], pairs_sampled);
  await inLanes(pairs, width, async (expected) => {
    await checkPair(check, expected);
    tick();
  });

  const searched = [...texts].flatMap(([id, text]) => {
    const word = longestWord(text);
    return word === undefined ? [] : [{ id, word }];
  });
  await inLanes(searched, width, async ({ id, word }) => {
    await checkWord(check, id, word);
    tick();
  });
  return { conversations: byConversation.size, pairs: pairs.length, words: searched.length };
}

/** The conversation as the history tells it: every message once, in order, whole, acknowledged. */
async function checkConversation(check: HistoryCheck, conversation_id: ConversationId, expected: readonly Sent[]) {
  const found = await searchAll(check.client, { conversation_id, order: "asc" });
  const { problems } = check;
  if (found.length !== expected.length) {
    const where = `the history of conversation ${conversation_id}`;
    problems.add(`${where} has ${found.length} messages instead of ${expected.length}`);
  }
  for (const [i, message] of found.entries()) {
    const entry = expected[i];
    if (entry) for (const problem of differences(message, entry)) problems.add(problem);
  }
  return found.map((message) => [message.id, message.content] as const);
}

function differences(message: Message, entry: Sent): string[] {
  const what = `line ${entry.line} (${entry.id}) in the history`;
  if (message.id !== entry.id) return [`${what} is not at its place: ${message.id} stands there`];
  return [
    message.from_agent === entry.from && message.to_agent === entry.to ? "" : `${what} has another sender or recipient`,
    digestOf(message.content) === entry.digest ? "" : `${what} has another text`,
    message.acknowledged ? "" : `${what} is not acknowledged`,
  ].filter(Boolean);
}

async function checkPair({ client, run, problems }: HistoryCheck, expected: readonly Sent[]): Promise<void> {
  const [first] = expected;
  if (!first) return;
  const search = { participant: first.from, with: first.to, "metadata.replay": run, order: "asc" } as const;
  const found = (await searchAll(client, search)).map((it) => it.id);
  if (
    sameIds(
      found,
      expected.map((it) => it.id),
    )
  )
    return;
  problems.add(
    `the history of ${first.from} and ${first.to} has ${found.length} messages instead of ${expected.length}`,
  );
}

function sameIds(a: readonly MessageId[], b: readonly MessageId[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

async function checkWord({ client, run, sent, problems }: HistoryCheck, id: MessageId, word: string): Promise<void> {
  const participant = senderOf(sent, id);
  const found = await searchAll(client, { q: word, "metadata.replay": run, ...(participant && { participant }) });
  if (!found.some((it) => it.id === id)) problems.add(`a search for ${JSON.stringify(word)} does not find ${id}`);
}

function senderOf(sent: readonly Sent[], id: MessageId): AgentId | undefined {
  return sent.find((it) => it.id === id)?.from;
}

/** Long words are rare words; plain ones mean the same to whoever splits the text. */
function longestWord(text: string): string | undefined {
  const plain = text.match(/(?<![\p{L}\p{N}\p{M}_])[A-Za-z]{4,40}(?![\p{L}\p{N}\p{M}_])/gu) ?? [];
  return plain.reduce<string | undefined>((best, word) => (word.length > (best?.length ?? 0) ? word : best), undefined);
}

async function searchAll(client: HistoryCheck["client"], search: Input<"searchMessages">): Promise<Message[]> {
  const found: Message[] = [];
  let cursor: Input<"searchMessages">["cursor"];
  do {
    const answer = await client.searchMessages({ ...search, limit: page, ...(cursor && { cursor }) });
    found.push(...answer.messages);
    cursor = answer.next_cursor;
  } while (cursor !== undefined);
  return found;
}

/** Evenly spread over the whole, so that the same log is checked at the same places. */
function sample<Item>(items: readonly Item[], count: number): Item[] {
  const step = Math.max(1, items.length / count);
  return items.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step));
}
