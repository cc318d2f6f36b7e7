import { setTimeout as delay } from "node:timers/promises";
import { parseJson } from "../../src/base/json.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { awaitIndex } from "../measure/index-lag.ts";
import type { LoopResult } from "./closed-loop.ts";
import { createFiller, createVocabulary } from "./filler.ts";
import { createHistogram, summary } from "./histogram.ts";
import { runOpenLoop } from "./open-loop.ts";
import { createPoster, type Post } from "./post.ts";
import { agentName, type Traffic } from "./traffic.ts";

export type HistoryOptions = {
  readonly url: string;
  readonly token: string;
  readonly server_pid: number;
  /** Messages in the history before the traffic starts. */
  readonly messages: number;
  readonly content_bytes: number;
  readonly agents: number;
  readonly connections: number;
  readonly per_second: number;
  readonly warmup_s: number;
  readonly seconds: number;
};

type Summary = ReturnType<typeof summary>;
type QueryResult = Summary & { readonly asked: number; readonly rows_each: number };

export type HistoryResult = LoopResult & {
  readonly import_s: number;
  readonly index_wait_s: number;
  readonly queries: Readonly<Record<string, QueryResult>>;
};

const population = 200;
const importBatch = 500;
const importsAtOnce = 4;
const spanMs = 90 * 86_400_000;
const pageRows = 50;
/** Of each kind; so a minute gives p99 over some 1,200 answers. */
const queriesPerSecond = 20;

/**
 * Fills a history, then asks it questions by the clock while mail flows: latency counts from when a question was due. Who
 * writes to whom, and which words are used, follows Zipf's law, and so do the questions: most are about what is frequent.
 */
export async function runHistory(options: HistoryOptions): Promise<HistoryResult> {
  const post = createPoster({ ...options, connections: importsAtOnce });
  const started = performance.now();
  await importHistory(options, post);
  const imported = performance.now();
  // How long the index takes is another question than how fast a search is with it.
  await awaitIndex({ url: options.url, token: options.token, pid: options.server_pid });
  const indexed = performance.now();
  const kinds = await createQueries(post);
  const { meanwhile: queries, ...loop } = await runOpenLoop({ ...options, until: "acknowledged" }, (traffic) =>
    askByTheClock(options, kinds, traffic),
  );
  return { ...loop, import_s: seconds(imported - started), index_wait_s: seconds(indexed - imported), queries };
}

async function importHistory({ messages, content_bytes, agents }: HistoryOptions, post: Post): Promise<void> {
  for (let i = 0; i < Math.max(population, agents); i++) await post("PUT", `/agents/${agentName(i)}`, "{}", 200);
  const filler = createFiller(11);
  const random = seededRandom(12);
  const start = Date.now() - spanMs;
  let made = 0;
  const importer = async () => {
    while (made < messages) {
      const first = made;
      made += importBatch;
      const batch = Array.from({ length: Math.min(importBatch, messages - first) }, (_, i) => {
        const [from_agent, to_agent] = pairByZipf(random);
        const timestamp = new Date(start + ((first + i) / messages) * spanMs).toISOString();
        return { from_agent, to_agent, timestamp, content: filler(content_bytes) };
      });
      await post("POST", "/messages/import", JSON.stringify({ messages: batch }), 200);
    }
  };
  await Promise.all(Array.from({ length: importsAtOnce }, importer));
}

type Queries = Readonly<Record<string, () => object>>;

async function createQueries(post: Post): Promise<Queries> {
  const conversation = await createConversationQueries(post);
  return { pair: createPairQueries(), conversation, words: createWordQueries() };
}

async function askByTheClock(
  { seconds: forSeconds }: HistoryOptions,
  queries: Queries,
  { connections }: Traffic,
): Promise<HistoryResult["queries"]> {
  const ask = (input: object) => connections.call("searchMessages", { ...input, limit: pageRows }) as Promise<Found>;
  const results = Object.entries(queries).map(async ([kind, next], index) => {
    const arrivals = arrivalsOf(seededRandom(31 + index), forSeconds);
    const result = await askOneKind(arrivals, () => ask(next()));
    return [kind, result] as const;
  });
  return Object.fromEntries(await Promise.all(results));
}

type Found = { readonly messages: readonly { readonly conversation_id: string }[] };

/** When questions are due, in ms: people and agents ask independently of each other, so as a Poisson process. */
function arrivalsOf(random: Random, forSeconds: number): number[] {
  const due: number[] = [];
  const next = () => (-Math.log(1 - random()) * 1_000) / queriesPerSecond;
  for (let at = next(); at < forSeconds * 1_000; at += next()) due.push(at);
  return due;
}

async function askOneKind(arrivals: readonly number[], ask: () => Promise<Found>): Promise<QueryResult> {
  const latency = createHistogram();
  const start = performance.now();
  let rows = 0;
  const answers: Promise<void>[] = [];
  for (const arrival of arrivals) {
    const due = start + arrival;
    await delay(Math.max(0, due - performance.now()));
    answers.push(
      ask().then((found) => {
        latency.record(performance.now() - due);
        rows += found.messages.length;
      }),
    );
  }
  await Promise.all(answers);
  return { ...summary(latency), asked: answers.length, rows_each: Math.round(rows / answers.length) };
}

function createPairQueries(): () => { participant: string; with: string } {
  const random = seededRandom(21);
  return () => {
    const [participant, other] = pairByZipf(random);
    return { participant, with: other };
  };
}

/** Asks for the conversations of as many frequent pairs, then goes round them. */
async function createConversationQueries(post: Post): Promise<() => object> {
  const pairs = createPairQueries();
  const ids: string[] = [];
  for (let i = 0; i < 200; i++) {
    const pair = pairs();
    const { messages } = await search(post, `participant=${pair.participant}&with=${pair.with}&limit=1`);
    if (messages[0]) ids.push(messages[0].conversation_id);
  }
  let next = 0;
  return () => ({ conversation_id: ids[next++ % ids.length] });
}

/** Two words that must both occur, from common to rare; every other time one word alone. */
function createWordQueries(): () => object {
  const random = seededRandom(22);
  const vocabulary = createVocabulary();
  const word = () => vocabulary[Math.floor(vocabulary.length ** random()) - 1] ?? "";
  let asked = 0;
  return () => ({ q: asked++ % 2 === 0 ? word() : `${word()} ${word()}` });
}

function pairByZipf(random: Random): [string, string] {
  const from = Math.floor(population ** random()) - 1;
  const other = Math.floor(population ** random()) - 1;
  return [agentName(from), agentName(other === from ? (other + 1) % population : other)];
}

async function search(post: Post, query: string): Promise<Found> {
  return parseJson(await post("GET", `/messages?${query}`, "", 200)) as Found;
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
