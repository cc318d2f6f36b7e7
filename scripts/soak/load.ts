import { type Connections, openConnections } from "../../bench/load/connections.ts";
import { createFiller } from "../../bench/load/filler.ts";
import { masked } from "../../bench/load/wire.ts";
import type { AgentId, LeaseId, MessageId, TracedMessage } from "../../src/contract/messages.ts";
import type { Judge, Lease } from "../../test/support/checker.ts";
import { agentName, routeOf } from "./numbered.ts";

export type LoadOptions = {
  readonly judge: Judge;
  readonly agents: number;
  readonly connections: number;
  readonly content_bytes: number;
  /** Messages that may be on their way at once. */
  readonly window: number;
  readonly idOf: (n: number) => MessageId;
  /** How many messages may have been sent by now. */
  readonly allowance: () => number;
  /** What must not happen, in words. */
  readonly complain: (what: string) => void;
};

export type Address = { readonly url: string; readonly token: string };

/** Agents that write to each other and read their mail, over connections that come and go with the server. */
export type Load = {
  /**
   * Connects to a server that has just started, and sends again whatever had no answer.
   *
   * @param beforeMail What is to be done when there is a connection, but no mail can come yet.
   */
  connect(server: Address, beforeMail?: () => Promise<void>): Promise<void>;
  /** The server is about to end; resolves when every connection has read what it had still said. */
  expectEnd(): Promise<void>;
  /** Sends as many new messages as the window and the allowance let it. */
  fill(): void;
  /** What the server knows of a message; undefined where it knows none. */
  look(id: MessageId): Promise<TracedMessage | undefined>;
  call(op: string, input: object): Promise<unknown>;
  /** Numbers below this have been sent. */
  readonly next: number;
  /** Sends that the server has not answered. */
  readonly unanswered: ReadonlySet<number>;
};

const credit = 256;
export const lease_ms = 30_000;

type State = {
  readonly options: LoadOptions;
  readonly unanswered: Set<number>;
  /** Acknowledgements under way, by the number of their request. */
  readonly acknowledging: Map<number, Lease>;
  readonly filler: { readonly plain: string; readonly masked: Uint8Array };
  next: number;
  nextAcknowledgement: number;
  link: Link | undefined;
};

type Link = {
  readonly connections: Connections;
  /** Resolves when all connections are gone. */
  readonly gone: Promise<void>;
  isReady: boolean;
  isEnding: boolean;
};

/** @param first The number of the first message. */
export function createLoad(options: LoadOptions, first: number): Load {
  const text = createFiller(3)(options.content_bytes).replaceAll("\n", " ");
  const state: State = {
    options,
    unanswered: new Set(),
    acknowledging: new Map(),
    filler: { plain: text, masked: masked(text) },
    next: first,
    nextAcknowledgement: 0,
    link: undefined,
  };
  return {
    connect: (server, beforeMail) => connect(state, server, beforeMail),
    async expectEnd() {
      const { link } = state;
      if (!link) return;
      link.isEnding = true;
      await link.gone;
      state.link = undefined;
      state.acknowledging.clear();
      options.judge.interrupted();
    },
    fill: () => fill(state),
    async look(message_id) {
      try {
        // What getMessage answers.
        return (await call(state, "getMessage", { message_id })) as TracedMessage;
      } catch (error) {
        if (/message_not_found/.test(String(error))) return undefined;
        throw error;
      }
    },
    call: (op, input) => call(state, op, input),
    get next() {
      return state.next;
    },
    unanswered: state.unanswered,
  };
}

function call({ link }: State, op: string, input: object): Promise<unknown> {
  if (!link) return Promise.reject(new Error(`${op}: not connected`));
  const lost = link.gone.then((): never => {
    throw new Error(`${op}: the connection was lost`);
  });
  return Promise.race([link.connections.call(op, input), lost]);
}

async function connect(state: State, server: Address, beforeMail?: () => Promise<void>): Promise<void> {
  const { options } = state;
  const again = [...state.unanswered].sort((a, b) => a - b);
  const link = await openLink(state, server);
  state.link = link;
  const eachAgent = async (op: string, more: object) => {
    for (let agent = 0; agent < options.agents; agent++) {
      await link.connections.call(op, { agent_id: agentName(agent), ...more }, agent % options.connections);
    }
  };
  await eachAgent("registerAgent", {});
  await beforeMail?.();
  await eachAgent("subscribe", { credit, lease_ms });
  for (const n of again) {
    options.judge.resent(options.idOf(n));
    send(state, n);
  }
  link.isReady = true;
  fill(state);
}

async function openLink(state: State, { url, token }: Address): Promise<Link> {
  const { options } = state;
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const lost = new Set<number>();
  const connections = await openConnections({
    url,
    token,
    count: options.connections,
    onAnswer: ({ id, ok }, frame) => takeAnswer(state, id, ok, frame),
    onDelivery: (connection, { message_id, lease_id }, frame) => {
      takeDelivery(state, connection, { message_id: message_id as MessageId, lease_id: lease_id as LeaseId }, frame);
    },
    onLost(connection, why) {
      if (!link.isEnding) options.complain(`connection ${connection} was lost: ${why.message}`);
      // A goodbye and the end of the connection are two losses of one.
      if (lost.add(connection).size === options.connections) resolve();
    },
  });
  const link: Link = { connections, gone, isReady: false, isEnding: false };
  return link;
}

function fill(state: State): void {
  const { options, link } = state;
  if (!link?.isReady || link.isEnding) return;
  while (options.judge.openCount < options.window && state.next < options.allowance()) {
    const n = state.next++;
    const { from, to, priority } = routeOf(n, options.agents);
    const lane = `${from} to ${to}, ${priority}`;
    options.judge.sent({ id: options.idOf(n), recipients: [agentName(to)], lane });
    state.unanswered.add(n);
    send(state, n);
  }
}

/** Requests with even numbers are messages, with odd ones acknowledgements. */
function send({ options, link, filler }: State, n: number): void {
  const { from, to, priority } = routeOf(n, options.agents);
  const head =
    `{"id":${2 * n},"op":"sendMessage","input":{"id":"${options.idOf(n)}","from_agent":"${agentName(from)}",` +
    `"to_agent":"${agentName(to)}","priority":"${priority}","content":"${String(n).padStart(12, "0")} `;
  link?.connections.wires[from % options.connections]?.send(head, filler.masked, '"}}');
}

function takeAnswer(state: State, request: number, ok: boolean, frame: Buffer): void {
  if (request % 2 === 0) takeSendAnswer(state, request / 2, ok, frame);
  else takeAcknowledgement(state, request, ok, frame);
  fill(state);
}

function takeSendAnswer({ options, unanswered }: State, n: number, ok: boolean, frame: Buffer): void {
  const { judge, complain, idOf } = options;
  // A server that stops says so to what it has not accepted; it is sent again to the next.
  if (!ok && /"code":"unavailable"/.test(frame.toString())) return;
  unanswered.delete(n);
  if (ok) judge.accepted(idOf(n));
  else {
    judge.refused(idOf(n));
    complain(`message ${n} was refused: ${frame.toString()}`);
  }
}

function takeAcknowledgement({ options, acknowledging }: State, request: number, ok: boolean, frame: Buffer): void {
  const lease = acknowledging.get(request);
  acknowledging.delete(request);
  if (!lease) options.complain(`an answer to a request that nobody made: ${frame.toString()}`);
  else if (ok && frame.includes('"acknowledged":true')) options.judge.acknowledged(lease);
  else if (ok) options.judge.leaseLost(lease, performance.now());
  else if (!/"code":"unavailable"/.test(frame.toString())) options.complain(`not acknowledged: ${frame.toString()}`);
}

function takeDelivery(
  state: State,
  connection: number,
  { message_id, lease_id }: Omit<Lease, "agent_id">,
  frame: Buffer,
): void {
  const { options, acknowledging, link } = state;
  const agent_id = lastValue(frame, "agent_id") as AgentId;
  const attempt = Number(lastValue(frame, "attempt"));
  const at_ms = performance.now();
  const lease = { message_id, agent_id, lease_id };
  options.judge.delivered({ ...lease, attempt, at_ms, lease_until_ms: at_ms + lease_ms - lateness_ms });
  if (
    agent_id !== agentName(Number(agent_id.slice(6))) ||
    Number(agent_id.slice(6)) % options.connections !== connection
  ) {
    options.complain(`mail for ${agent_id} came on connection ${connection}`);
  }
  options.judge.acknowledging(lease);
  const request = 2 * state.nextAcknowledgement++ + 1;
  acknowledging.set(request, lease);
  const input = `{"message_id":"${message_id}","lease_id":"${lease_id}"}`;
  link?.connections.wires[connection]?.send(`{"id":${request},"op":"acknowledgeMessage","input":${input}}`);
}

/** The delivery's own fields follow those of its message. */
function lastValue(frame: Buffer, field: string): string {
  const start = frame.lastIndexOf(`"${field}":`, undefined, "latin1") + field.length + 3;
  const text = frame.toString("latin1", start, start + 160);
  return /^"?([^",}]*)/.exec(text)?.[1] ?? "";
}

/** A delivery may be seen this long after its lease began; a machine under load is slow. */
const lateness_ms = 10_000;
