import { setTimeout as delay } from "node:timers/promises";
import { parseJson } from "../../src/base/json.ts";
import { type Account, createAccount, type Step } from "./account.ts";
import { type Connections, openConnections } from "./connections.ts";
import { createFiller } from "./filler.ts";
import type { Incoming } from "./incoming.ts";
import { masked } from "./wire.ts";

export type TrafficOptions = {
  readonly url: string;
  readonly token: string;
  readonly agents: number;
  readonly connections: number;
  /** Bytes of a message's content, before JSON escapes them. */
  readonly content_bytes: number;
  /** The step that ends a message's way: `answered` where nobody receives, else `acknowledged`. */
  readonly until: Extract<Step, "answered" | "acknowledged">;
  /** Most messages that this traffic will ever send. */
  readonly capacity: number;
  /** A message went all its way. */
  readonly onDone: () => void;
};

/** Messages between agents, every one of them accounted for. */
export type Traffic = Disposable & {
  /** Sends the next message. @param due_ms When it should leave, by `performance.now()`; latency counts from then. */
  send(due_ms: number): void;
  readonly account: Account;
  readonly connections: Connections;
  /** Waits until every message sent has gone all its way, and checks that nothing else happened to any. */
  reconcile(patience_ms: number): Promise<Reconciliation>;
};

export type Reconciliation = Readonly<Record<Step | "sent" | "delivered_again", number>>;

/**
 * How many others an agent writes to. If 500 agents wrote to all others in turn, each message of a run would be the first
 * of its pair and open a conversation.
 */
const circle = 20;
const subscriptionCredit = 512;
const fillerCount = 256;
/** One message in so many is parsed and compared field by field. */
const inspectEvery = 997;
/** One in ten is urgent, two are high, six normal, one low. */
const prioritiesInTurn = "urgent normal high normal normal low normal high normal normal".split(" ");

export function agentName(index: number): string {
  return `agent-${index}`;
}

/** Registers the agents, subscribes them where mail is to be received, and is then ready to send. */
export async function startTraffic(options: TrafficOptions): Promise<Traffic> {
  const account = createAccount(options.capacity);
  const trouble = { delivered_again: 0 };
  const connections = await openConnections({
    ...options,
    count: options.connections,
    onAnswer: (answer, frame) => takeAnswer(options, account, answer, frame),
    onDelivery: (connection, delivery, frame) => {
      const n = numberIn(delivery.content);
      checkDelivery(options, n, connection, frame);
      if (!account.note(n, "delivered")) trouble.delivered_again += 1;
      const lease = `"message_id":"${delivery.message_id}","lease_id":"${delivery.lease_id}"`;
      connections.wires[connection]?.send(`{"id":${2 * n + 1},"op":"acknowledgeMessage","input":{${lease}}}`);
    },
  });
  await introduceAgents(options, connections);
  return {
    send: createSender(options, account, connections),
    account,
    connections,
    async reconcile(patience_ms) {
      await settled(options, account, patience_ms);
      return reconciliation(options, account, trouble.delivered_again);
    },
    [Symbol.dispose]: () => connections[Symbol.dispose](),
  };
}

async function introduceAgents({ agents, until, connections: count }: TrafficOptions, connections: Connections) {
  for (let agent = 0; agent < agents; agent++) {
    const agent_id = agentName(agent);
    await connections.call("registerAgent", { agent_id }, agent % count);
    if (until === "acknowledged") {
      await connections.call("subscribe", { agent_id, credit: subscriptionCredit }, agent % count);
    }
  }
}

/** Message `n` leaves on its sender's connection; its content begins with `n`. */
function createSender(options: TrafficOptions, account: Account, { wires }: Connections): (due_ms: number) => void {
  const filler = createFiller(7);
  const bodies = Array.from({ length: fillerCount }, () => escapeText(filler(options.content_bytes - 11)));
  const maskedBodies = bodies.map(masked);
  return (due_ms) => {
    const n = account.open(due_ms);
    const { from, to } = routeOf(n, options.agents);
    const priority = prioritiesInTurn[n % prioritiesInTurn.length];
    const head =
      `{"id":${2 * n},"op":"sendMessage","input":{"from_agent":"${agentName(from)}","to_agent":"${agentName(to)}",` +
      `"priority":"${priority}","content":"${markOf(n)} `;
    wires[from % wires.length]?.send(head, maskedBodies[n % fillerCount], '"}}');
  };
}

/** What the content of message `n` begins with, and by which it is known again on arrival. */
function markOf(n: number): string {
  return `#${String(n).padStart(9, "0")}`;
}

/** The number of a message by its content. */
function numberIn(content: string): number {
  return Number.parseInt(content.slice(1, 10), 10);
}

/** Agents take turns in sending, and each writes to its circle in turn. */
function routeOf(n: number, agents: number): { from: number; to: number } {
  const from = n % agents;
  const distance = 1 + (Math.floor(n / agents) % Math.max(1, Math.min(agents - 1, circle)));
  return { from, to: (from + distance) % agents };
}

/** Even ids are sends, odd ones acknowledgements. */
function takeAnswer(
  { until, onDone }: TrafficOptions,
  account: Account,
  { id, ok }: Extract<Incoming, { kind: "answer" }>,
  frame: Buffer,
): void {
  const n = Math.floor(id / 2);
  const step = id % 2 === 0 ? "answered" : "acknowledged";
  if (!ok || (step === "acknowledged" && !frame.includes('"acknowledged":true'))) {
    throw new Error(`message ${n} was not ${step}: ${frame.toString()}`);
  }
  if (step === "answered") inspectAnswer(n, frame);
  const isNew = account.note(n, step);
  if (isNew && account.has(n, until) && account.has(n, "answered")) onDone();
}

function inspectAnswer(n: number, frame: Buffer): void {
  if (n % inspectEvery !== 0) return;
  const { output } = parseJson(frame.toString()) as { output: { id: string; content: string } };
  if (numberIn(output.content) !== n || output.id.length !== 36) {
    throw new Error(`the answer to message ${n} tells of another: ${frame.toString()}`);
  }
}

/** Throws where mail came to somebody it was not for. */
function checkDelivery({ agents, connections }: TrafficOptions, n: number, connection: number, frame: Buffer): void {
  const { from, to } = routeOf(n, agents);
  if (connection !== to % connections || !frame.includes(`"to_agent":"${agentName(to)}"`)) {
    throw new Error(`message ${n} for ${agentName(to)} came on connection ${connection}: ${frame.toString()}`);
  }
  if (n % inspectEvery !== 0) return;
  const { delivery } = parseJson(frame.toString()) as {
    delivery: { agent_id: string; message: { from_agent: string } };
  };
  if (delivery.agent_id !== agentName(to) || delivery.message.from_agent !== agentName(from)) {
    throw new Error(`message ${n} from ${agentName(from)} to ${agentName(to)} arrived as ${frame.toString()}`);
  }
}

async function settled({ until }: TrafficOptions, account: Account, patience_ms: number): Promise<void> {
  const deadline = performance.now() + patience_ms;
  while (account.countOf(until) < account.opened || account.countOf("answered") < account.opened) {
    if (performance.now() > deadline) {
      const { opened, countOf } = account;
      const counts = `${countOf("answered")} answered, ${countOf("delivered")} delivered, ${countOf("acknowledged")} acknowledged`;
      throw new Error(`of ${opened} messages sent, only ${counts} after ${patience_ms} ms of waiting`);
    }
    await delay(5);
  }
}

function reconciliation({ until }: TrafficOptions, account: Account, delivered_again: number): Reconciliation {
  const expected = until === "acknowledged" ? account.opened : 0;
  const counts = {
    sent: account.opened,
    answered: account.countOf("answered"),
    delivered: account.countOf("delivered"),
    acknowledged: account.countOf("acknowledged"),
    delivered_again,
  };
  if (counts.delivered !== expected || counts.acknowledged !== expected || counts.answered !== counts.sent) {
    throw new Error(`the books do not balance: ${JSON.stringify(counts)}`);
  }
  return counts;
}

/** As it stands inside a JSON string. */
function escapeText(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
