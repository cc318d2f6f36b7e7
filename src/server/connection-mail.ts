import type { Call, Following, Mailroom, Subscription } from "../app/mailroom.ts";
import { BusError } from "../contract/errors.ts";
import type { BusEvent } from "../contract/events.ts";
import type { AgentId, Delivery } from "../contract/messages.ts";
import type { StreamInput, StreamOperation } from "../contract/stream.ts";
import type { Outbound } from "./outbound.ts";

/** What one connection has asked to be pushed: mail of agents, and events. */
export type ConnectionMail = {
  readonly [Name in StreamOperation]: (input: StreamInput[Name], reply: Reply) => Promise<void>;
} & {
  readonly subscriptions: number;
  /** Ends everything; gives all leases back. */
  end(): Promise<void>;
};

export type Reply = {
  answer(output?: object): void;
  /** Tells of an end that comes after the answer. */
  fail(error: unknown): void;
};

type Options = { readonly mailroom: Mailroom; readonly call: Call; readonly outbound: Outbound };

/** Agents whose mail one connection may ask for. */
const most_subscriptions = 1_000;

export function createConnectionMail(options: Options): ConnectionMail {
  const subscribed = new Map<AgentId, Subscribed>();
  const followed: { current?: Followed } = {};
  return {
    ...subscribing(subscribed, options),
    follow: (input, reply) => follow(followed, input, { ...options, reply }),
    get subscriptions() {
      return subscribed.size;
    },
    async end() {
      const closing = [...subscribed.values()].map(({ ready }) => ready.then((it) => it[Symbol.asyncDispose]()));
      subscribed.clear();
      if (followed.current) closing.push(followed.current.ready.then((it) => it[Symbol.asyncDispose]()));
      delete followed.current;
      options.outbound.end();
      const failed = (await Promise.allSettled(closing)).find((it) => it.status === "rejected");
      if (failed) throw failed.reason;
    },
  };
}

/** `answered`: what is pushed waits until the request is answered, so that the caller knows what it belongs to. */
type Subscribed = { readonly ready: Promise<Subscription>; answered: boolean };
type Followed = { readonly ready: Promise<Following> };

function subscribing(
  subscribed: Map<AgentId, Subscribed>,
  { mailroom, call, outbound }: Options,
): Pick<ConnectionMail, "subscribe" | "unsubscribe" | "credit"> {
  return {
    async subscribe(input, { answer }) {
      requireRoom(subscribed, input.agent_id);
      const early: Delivery[] = [];
      const push = (deliveries: readonly Delivery[]) => {
        if (entry.answered) outbound.pushDeliveries(entry, deliveries);
        else early.push(...deliveries);
      };
      const entry: Subscribed = { ready: mailroom.subscribe(input, push, call), answered: false };
      subscribed.set(input.agent_id, entry);
      try {
        await entry.ready;
      } catch (error) {
        subscribed.delete(input.agent_id);
        throw error;
      }
      answer();
      entry.answered = true;
      outbound.pushDeliveries(entry, early);
    },

    async unsubscribe({ agent_id }, { answer }) {
      const entry = requireSubscribed(subscribed, agent_id);
      subscribed.delete(agent_id);
      const subscription = await entry.ready;
      outbound.drop(entry);
      await subscription[Symbol.asyncDispose]();
      answer();
    },

    async credit({ agent_id, credit }, { answer }) {
      (await requireSubscribed(subscribed, agent_id).ready).addCredit(credit);
      answer();
    },
  };
}

function requireRoom(subscribed: ReadonlyMap<AgentId, Subscribed>, agent_id: AgentId): void {
  if (subscribed.has(agent_id)) {
    throw new BusError("invalid_input", `this connection subscribes to ${agent_id} already; add credit instead`);
  }
  if (subscribed.size >= most_subscriptions) {
    throw new BusError("invalid_input", `a connection holds at most ${most_subscriptions} subscriptions; open another`);
  }
}

function requireSubscribed(subscribed: ReadonlyMap<AgentId, Subscribed>, agent_id: AgentId): Subscribed {
  const found = subscribed.get(agent_id);
  if (found) return found;
  throw new BusError("invalid_input", `this connection does not subscribe to ${agent_id}; subscribe first`);
}

async function follow(
  followed: { current?: Followed },
  input: StreamInput["follow"],
  { mailroom, call, outbound, reply }: Options & { readonly reply: Reply },
): Promise<void> {
  if (followed.current) {
    throw new BusError("invalid_input", "this connection follows events already; open another connection");
  }
  const answered = Promise.withResolvers<void>();
  const push = async (events: readonly BusEvent[]) => {
    await answered.promise;
    await outbound.pushEvents(events);
  };
  const entry: Followed = { ready: mailroom.follow(input, push, call) };
  followed.current = entry;
  const forget = () => {
    if (followed.current === entry) delete followed.current;
  };
  try {
    const following = await entry.ready;
    reply.answer({ cursor: following.cursor });
    answered.resolve();
    following.ended.catch((error: unknown) => {
      forget();
      reply.fail(error);
    });
  } catch (error) {
    forget();
    throw error;
  }
}
