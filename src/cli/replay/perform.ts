import { setTimeout as sleep } from "node:timers/promises";
import { createUuidV7 } from "../../base/uuid.ts";
import type { Client } from "../../client/client.ts";
import { BusError } from "../../contract/errors.ts";
import type { MessageId } from "../../contract/messages.ts";
import { createGate, type Gate, inLanes } from "./lanes.ts";
import type { Row } from "./rows.ts";
import { digestOf, type Scoreboard } from "./scoreboard.ts";
import type { Conversations } from "./stage.ts";
import { type Survey, surveyedRows } from "./survey.ts";

/** Sends that wait for their acceptance at a time. */
const in_flight = 256;
/** Messages sent and not yet handled: far below what an inbox may hold. */
const most_outstanding = 2_000;
/** Deliveries of one agent fetched ahead. */
const prefetch = 63;
/** Without any progress for this long, what is missing will not come. */
const patience_ms = 30_000;
const look_ms = 20;

export type Performance = {
  readonly survey: Survey;
  /** Names the replay in the metadata of its messages. */
  readonly run: string;
  readonly conversations: Conversations;
  readonly scoreboard: Scoreboard;
  /** One connection sends, so that the order of sending is the order of the file. */
  readonly sender: Client;
  /** The agents' connections; each carries its share of the agents. */
  readonly receivers: readonly Client[];
  /** Reads the ledger of everything, independently of both. */
  readonly observer: Client;
  /** Multiple of recorded time; undefined: as fast as it goes. */
  readonly speed: number | undefined;
  readonly signal: AbortSignal;
  readonly onSent: (sent: number) => void;
};

/** Times of the part of a replay that is measured: from the first send to the last acknowledgement. */
export type Played = { readonly duration_ms: number; readonly stopped: boolean };

/** Sends every row and lets the agents receive and acknowledge, until nothing is outstanding any more. */
export async function perform(play: Performance): Promise<Played> {
  const { scoreboard, observer, receivers } = play;
  const follower = await observer.follow({}, (event) => scoreboard.announced(event));
  const room = createGate(() => outstanding(scoreboard) < most_outstanding || play.signal.aborted);
  play.signal.addEventListener("abort", () => room.notify());
  const workers = await startWorkers(play, room);
  const started_ms = performance.now();
  const { sent, stopped } = await sendAll(play, room);
  await settled(scoreboard, sent);
  const duration_ms = performance.now() - started_ms;
  await Promise.all(workers.map((worker) => worker[Symbol.asyncDispose]()));
  await Promise.all(receivers.map((receiver) => receiver[Symbol.asyncDispose]()));
  await follower[Symbol.asyncDispose]();
  scoreboard.close();
  return { duration_ms, stopped };
}

function outstanding({ sent, counts }: Scoreboard): number {
  return sent.size - counts.handled - counts.refused;
}

async function startWorkers({ survey, receivers, scoreboard }: Performance, room: Gate) {
  const workers: AsyncDisposable[] = [];
  let next = 0;
  await inLanes(survey.names.agents, in_flight, async (agent_id) => {
    const receiver = receivers[next++ % receivers.length];
    const worker = await receiver?.worker(
      agent_id,
      (message) => {
        scoreboard.delivered(agent_id, message, performance.now());
        room.notify();
      },
      { prefetch, onError: (error) => scoreboard.problems.add(`${agent_id} could not acknowledge: ${String(error)}`) },
    );
    if (worker) workers.push(worker);
  });
  return workers;
}

async function sendAll(play: Performance, room: Gate): Promise<{ sent: number; stopped: boolean }> {
  const { survey, scoreboard, signal } = play;
  const newId = createUuidV7(Date.now, (bytes) => crypto.getRandomValues(bytes));
  let sent = 0;
  await inLanes(paced(surveyedRows(survey), play, room), in_flight, async (row) => {
    play.onSent(++sent);
    const id = newId() as MessageId;
    await sendRow(play, row, id).catch((error: unknown) => {
      // Without a server there is no use in going on; what it refuses is counted.
      if (!(error instanceof BusError) || error.code === "unreachable") throw error;
      scoreboard.refused(id, `line ${row.line} was not accepted: ${error.message}`);
      sent -= 1;
      room.notify();
    });
  });
  return { sent, stopped: signal.aborted };
}

async function sendRow({ survey, scoreboard, conversations, sender, run }: Performance, row: Row, id: MessageId) {
  const from = survey.names.agentOf(row.from);
  const to = survey.names.agentOf(row.to);
  const { line, conversation, priority, message_type, text, recorded_at } = row;
  const conversation_id = conversations.get(conversation);
  const sent_ms = performance.now();
  const entry = scoreboard.enter({ id, line, from, to, conversation, priority, digest: digestOf(text), sent_ms });
  const message = await sender.sendMessage({
    id,
    from_agent: from,
    to_agent: to,
    content: text,
    priority,
    message_type,
    ...(conversation_id !== undefined && { conversation_id }),
    metadata: { replay: run, line, ...(recorded_at !== undefined && { recorded_at }) },
  });
  entry.accept_ms = performance.now() - sent_ms;
  if (message.id !== id) scoreboard.problems.add(`line ${line} was accepted as ${message.id} instead of ${id}`);
}

/**
 * Rows at the pace at which they were recorded, times `speed`, and no faster than their recipients take them. A row without
 * a time goes with the one before. Rows wait here, one behind the other, so that they are sent in their order.
 */
async function* paced(rows: AsyncIterable<Row>, { speed, signal }: Performance, room: Gate): AsyncGenerator<Row> {
  const started_ms = performance.now();
  let first_ms: number | undefined;
  for await (const row of rows) {
    first_ms ??= row.at_ms;
    await until(started_ms + passed_ms(first_ms, row, speed), signal);
    await room.pass();
    if (signal.aborted) return;
    yield row;
  }
}

function passed_ms(first_ms: number | undefined, { at_ms }: Row, speed: number | undefined): number {
  return speed === undefined || first_ms === undefined || at_ms === undefined ? 0 : (at_ms - first_ms) / speed;
}

async function until(due_ms: number, signal: AbortSignal): Promise<void> {
  const wait_ms = due_ms - performance.now();
  if (wait_ms <= 0) return;
  await sleep(wait_ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** Waits until the ledger has every acknowledgement, or nothing has moved for long. */
async function settled(scoreboard: Scoreboard, sent: number): Promise<void> {
  let last = -1;
  let moved_ms = performance.now();
  while (scoreboard.counts.acknowledged < sent && performance.now() - moved_ms < patience_ms) {
    const state = scoreboard.counts.handled + scoreboard.counts.acknowledged;
    if (state !== last) moved_ms = performance.now();
    last = state;
    await sleep(look_ms);
  }
}
