import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkHistory } from "../../src/cli/replay/check-history.ts";
import { createProblems, createScoreboard, digestOf, type Sent } from "../../src/cli/replay/scoreboard.ts";
import { describeSummary, type ReplayFigures, replayFigures, type Summary } from "../../src/cli/replay/summary.ts";
import type { AgentId, ConversationId, Message } from "../../src/contract/messages.ts";
import { ada, bob, conversationId, messageId } from "../support/fixtures.ts";

type Search = { readonly q?: string; readonly participant?: string; readonly conversation_id?: string };

const conversation = conversationId();

function sent(line: number, text: string, from: AgentId = ada, to: AgentId = bob): Sent {
  const facts = { line, from, to, conversation: "c", priority: "normal", digest: digestOf(text) } as const;
  const times = { sent_ms: 0, accept_ms: 1, delivery_ms: 2, deliveries: 1, accepted: 1, acknowledged: 1 };
  return { id: messageId(), ...facts, ...times };
}

/** What a truthful history would tell of it. */
function told({ id, from, to }: Sent, content: string): Message {
  return { id, from_agent: from, to_agent: to, content, acknowledged: true } as Partial<Message> as Message;
}

/** What is said to be wrong with a history that answers like this. */
async function problemsOf(
  entries: readonly Sent[],
  answer: (search: Search) => readonly Message[],
): Promise<readonly string[]> {
  const problems = createProblems();
  const client = { searchMessages: async (search: Search) => ({ messages: [...answer(search)] }) };
  const conversations = new Map<string, ConversationId>([["c", conversation]]);
  await checkHistory({ client, run: "r", sent: entries, conversations, problems, onQuery: () => undefined });
  return problems.texts.map((text) => text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID"));
}

describe("the check of the history after a replay", () => {
  const entries = [sent(1, "hello world"), sent(2, "goodbye")];
  const [one, two] = entries.map((entry, i) => told(entry, ["hello world", "goodbye"][i] ?? ""));
  assert.ok(one && two);

  it("finds nothing wrong with the truth", async () => {
    assert.deepEqual(await problemsOf(entries, () => [one, two]), []);
  });

  it("notices a message that is missing, or out of its place", async () => {
    const conversationOnly = (messages: readonly Message[]) => (search: Search) =>
      search.conversation_id ? messages : [one, two];
    assert.deepEqual(await problemsOf(entries, conversationOnly([one])), [
      "the history of conversation ID has 1 messages instead of 2",
    ]);
    assert.deepEqual(await problemsOf(entries, conversationOnly([two, one])), [
      "line 1 (ID) in the history is not at its place: ID stands there",
      "line 2 (ID) in the history is not at its place: ID stands there",
    ]);
  });

  it("notices another sender, another text and a missing acknowledgement", async () => {
    const forged = { ...one, from_agent: bob, content: "Hello world", acknowledged: false };
    const found = await problemsOf(entries, (search) => (search.conversation_id ? [forged, two] : [one, two]));
    assert.deepEqual(found, [
      "line 1 (ID) in the history has another sender or recipient",
      "line 1 (ID) in the history has another text",
      "line 1 (ID) in the history is not acknowledged",
    ]);
  });

  it("notices a pair or a word that is not found", async () => {
    const without = (forget: (search: Search) => boolean) => (search: Search) => (forget(search) ? [] : [one, two]);
    assert.deepEqual(
      await problemsOf(
        entries,
        without((it) => it.q === undefined && it.participant !== undefined),
      ),
      ["the history of ada and bob has 0 messages instead of 2"],
    );
    assert.deepEqual(
      await problemsOf(
        entries,
        without((it) => it.q !== undefined),
      ),
      ['a search for "hello" does not find ID', 'a search for "goodbye" does not find ID'],
    );
  });

  it("does not ask for words of texts that have none, nor for what one agent told itself", async () => {
    const alone = [sent(1, "三 一", ada, ada)];
    const searches: Search[] = [];
    await problemsOf(alone, (search) => {
      searches.push(search);
      return alone.map((entry) => told(entry, "三 一"));
    });
    assert.deepEqual(
      searches.map((it) => it.conversation_id !== undefined),
      [true],
    );
  });
});

describe("the figures of a replay", () => {
  it("are worked out from what happened to each message", () => {
    const scoreboard = createScoreboard(createProblems());
    for (let line = 1; line <= 200; line++) {
      const { id, from, to, priority, digest } = sent(line, "x");
      const entry = scoreboard.enter({ id, line, from, to, conversation: "c", priority, digest, sent_ms: 0 });
      entry.accept_ms = line;
      entry.delivery_ms = line * 2;
      entry.accepted = entry.acknowledged = entry.deliveries = 1;
    }
    const figures = replayFigures({
      run: "r",
      scoreboard,
      played: { duration_ms: 1_000, stopped: false },
      history: undefined,
    });
    assert.deepEqual(
      [figures.sent, figures.accepted, figures.accept_ms, figures.end_to_end_ms, figures.verified],
      [200, 200, { p50: 100, p99: 198 }, { p50: 200, p99: 396 }, true],
    );
  });

  it("are nothing where nothing was sent", () => {
    const scoreboard = createScoreboard(createProblems());
    const figures = replayFigures({
      run: "r",
      scoreboard,
      played: { duration_ms: 0, stopped: true },
      history: undefined,
    });
    assert.deepEqual([figures.accept_ms, figures.rate_per_s, figures.verified], [{ p50: 0, p99: 0 }, 0, false]);
  });
});

describe("the summary of a replay", () => {
  const summary: Summary = { file: "day.jsonl", rows: 2, bad_rows: 0, bad: [], agents: 1, conversations: 1 };
  const figures: ReplayFigures = {
    ...{ run: "r", sent: 2, accepted: 2, delivered: 2, acknowledged: 2, redelivered: 0, foreign: 0 },
    ...{ duration_ms: 500, rate_per_s: 4, accept_ms: { p50: 1, p99: 2 }, end_to_end_ms: { p50: 3, p99: 4 } },
    history: { conversations: 1, pairs: 2, words: 3 },
    ...{ stopped: false, verified: true, problem_count: 0, problems: [] },
  };
  const described = (changes: Partial<ReplayFigures>) =>
    describeSummary({ ...summary, replay: { ...figures, ...changes } });

  it("says what was done and that it is right", () => {
    assert.equal(
      described({}),
      "day.jsonl: 2 messages, 1 agent, 1 conversation\n" +
        "sent 2, accepted 2, delivered 2, acknowledged 2\n500 ms, 4 messages per second\n" +
        "accepted after p50 1 ms, p99 2 ms; delivered after p50 3 ms, p99 4 ms\n" +
        "asked the history for 1 conversation, 2 pairs, 3 words\n" +
        "verified: each accepted once, delivered to its recipient in order, acknowledged once; find it with --metadata.replay r\n",
    );
  });

  it("says what is wrong, and how much more", () => {
    const text = described({ verified: false, problem_count: 25, problems: ["first", "second"] });
    assert.match(text, /NOT verified: 25 problems\n {2}first\n {2}second\n {2}and 23 more\n$/);
  });

  it("says what else came by", () => {
    const text = described({ redelivered: 1, foreign: 2, stopped: true, verified: false, history: undefined });
    assert.match(
      text,
      /acknowledged 2, 1 redelivery\n[\s\S]*2 messages of other origin[^\n]*\nstopped before the end; /,
    );
  });

  it("names the lines that were left out", () => {
    const text = describeSummary({ ...summary, bad_rows: 3, bad: [{ line: 7, problem: "no JSON" }] });
    assert.match(text, /\n3 lines left out:\n {2}line 7: no JSON\n {2}and 2 more\n$/);
  });
});
