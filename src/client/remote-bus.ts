import { systemClock } from "../base/clock.ts";
import type { Delivery } from "../contract/messages.ts";
import type { Input, Output } from "../contract/operations.ts";
import { type OperationName, operationNames } from "../contract/routes.ts";
import { type Connection, type ConnectionOptions, createConnection } from "./connection.ts";
import { type Follower, type FollowHandler, type FollowInput, follow } from "./follow.ts";
import { newMessageId } from "./new-id.ts";
import type { Plain } from "./plain.ts";
import type { OpenSocket } from "./socket.ts";
import {
  abandonSubscriptions,
  delivered,
  type SubscribeInput,
  type Subscription,
  type Subscriptions,
  subscribe,
  subscriptionsLost,
} from "./subscription.ts";
import { type MessageHandler, startWorker, type Worker, type WorkerOptions } from "./worker.ts";

export type ConnectOptions = {
  readonly token: string;
  /**
   * How long a request waits for a server that is away, from when it is made or the connection is lost; then it fails with
   * `unreachable`. 0: the first failed attempt decides. Default 10,000.
   */
  readonly connect_timeout_ms?: number;
  /** How long a request waits for its answer in all; `claimMessages` has its `wait_ms` besides. Default 30,000. */
  readonly request_timeout_ms?: number;
  /** Longest pause between two attempts to connect. Default 5,000. */
  readonly reconnect_max_ms?: number;
};

export type CallOptions = {
  /** Stops waiting. Whether the operation is done is then unknown, save that a claim which comes too late is given back. */
  readonly signal?: AbortSignal;
  readonly timeout_ms?: number;
};

/** The bus of the contract; every method takes plain text where the contract has ids. */
export type RemoteBus = {
  readonly [Name in OperationName]: (input: Plain<Input<Name>>, options?: CallOptions) => Promise<Output<Name>>;
};

/**
 * The bus across the network. One connection, made when first needed and again whenever it was lost; requests are
 * pipelined. What the server refuses for coming too soon (`rate_limited`) waits and is sent again, and so may be overtaken by what
 * was sent after it. What was sent and not answered is sent again if that can do no harm: messages get their ids here, so that a
 * second sending of the same one changes nothing.
 */
export type Client = RemoteBus &
  AsyncDisposable & {
    /**
     * Pushes an agent's mail to `handler`, also after a reconnect; acknowledge or reject each delivery to get more.
     *
     * @param handler Must not throw; an error there is an uncaught exception.
     */
    subscribe(input: SubscribeInput, handler: (delivery: Delivery) => void): Promise<Subscription>;
    /** Handles an agent's mail: renews leases, acknowledges, gives back, recognises what it has handled before. */
    worker(agent_id: string, handler: MessageHandler, options?: WorkerOptions): Promise<Worker>;
    /** Streams events to `handler`, resuming without a gap after a reconnect. */
    follow(input: FollowInput, handler: FollowHandler): Promise<Follower>;
  };

/** Operations of which doing them twice differs from doing them once, so they are not sent again after a lost connection. */
const once: ReadonlySet<OperationName> = new Set<OperationName>([
  "createConversation",
  "removeAgent",
  "redriveDeadLetters",
]);

/** The client over whatever sockets the platform has: `client.ts` is for Node, `browser.ts` for browsers. */
export function createClient(openSocket: OpenSocket, url: string, options: ConnectOptions): Client {
  const connecting: ConnectionOptions = {
    url: baseUrl(url),
    token: options.token,
    connect_timeout_ms: options.connect_timeout_ms ?? 10_000,
    request_timeout_ms: options.request_timeout_ms ?? 30_000,
    reconnect_max_ms: options.reconnect_max_ms ?? 5_000,
    openSocket,
    clock: systemClock,
    random: Math.random,
  };
  const subscriptions: Subscriptions = new Map();
  const followers = new Set<Follower>();
  const connection = createConnection(connecting, {
    pushed(frame) {
      if (frame.event === "delivery") delivered(subscriptions, frame.delivery);
    },
    lost: () => subscriptionsLost(subscriptions),
  });
  const bus = createRemoteBus(connection, connecting.request_timeout_ms);
  const dependencies = {
    bus,
    elapsed: systemClock.elapsed,
    subscribe: subscribe.bind(undefined, subscriptions, connection),
  };
  return {
    ...bus,
    subscribe: (input, handler) => subscribe(subscriptions, connection, input, { delivered: handler }),
    worker: (agent_id, handler, workerOptions) => startWorker(dependencies, agent_id, handler, workerOptions),
    async follow(input, handler) {
      const follower = await follow(connecting, input, handler);
      followers.add(follower);
      void follower.ended.then(() => followers.delete(follower));
      return follower;
    },
    async [Symbol.asyncDispose]() {
      abandonSubscriptions(subscriptions);
      connection.close();
      await Promise.all([...followers].map((it) => it[Symbol.asyncDispose]()));
    },
  };
}

/** `http://host:port/base/`, with http or ws, to `http://host:port/base`. */
function baseUrl(url: string): string {
  return url.replace(/^ws/, "http").replace(/\/+$/, "");
}

type Fields = Readonly<Record<string, unknown>>;

/** One method per operation, read off the routes: adding an operation to the contract adds it here. */
function createRemoteBus(connection: Connection, request_timeout_ms: number): RemoteBus {
  async function call(op: OperationName, input: Fields = {}, { signal, timeout_ms }: CallOptions = {}) {
    const wait_ms = typeof input["wait_ms"] === "number" ? input["wait_ms"] : 0;
    return await connection.request(op, withIds(op, input), {
      resend: !once.has(op),
      timeout_ms: timeout_ms ?? request_timeout_ms + wait_ms,
      ...(signal && { signal }),
      ...(op === "claimMessages" && { late: (output) => giveBack(connection, output as Output<"claimMessages">) }),
    });
  }
  const methods = Object.fromEntries(operationNames.map((op) => [op, call.bind(undefined, op)]));
  // The methods of the table under their names, with the server's word for what they answer.
  return methods as unknown as RemoteBus;
}

/** Names new messages here, once, so that sending them again after a lost connection cannot duplicate them. */
function withIds(op: OperationName, input: Fields): Fields {
  if (op === "sendMessage") return withId(input);
  if (op !== "sendMessages" && op !== "importMessages") return input;
  const messages = input["messages"];
  return Array.isArray(messages) ? { ...input, messages: messages.map(withId) } : input;
}

function withId(message: Fields): Fields {
  const named = message["id"] !== undefined || message["idempotency_key"] !== undefined;
  return named ? message : { ...message, id: newMessageId() };
}

/** A claim was answered after its caller had gone: nobody will handle these, so the next one shall have them. */
function giveBack(connection: Connection, { deliveries }: Output<"claimMessages">): void {
  for (const { message, lease_id } of deliveries) {
    const rejection = {
      message_id: message.id,
      lease_id,
      reason: "nobody waited for this claim any more",
      delay_ms: 0,
    };
    // Should this fail, the lease ends by itself.
    connection.request("rejectMessage", rejection, { resend: false }).catch(() => undefined);
  }
}
