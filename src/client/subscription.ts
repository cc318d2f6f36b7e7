import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { AgentId, Delivery } from "../contract/messages.ts";
import type { StreamInput } from "../contract/stream.ts";
import type { Connection } from "./connection.ts";
import { isPassing, pauseAfter } from "./waiting.ts";

const default_credit = 64;

export type SubscribeInput = {
  readonly agent_id: string;
  /** Deliveries that may be outstanding: leased to this subscription and not acknowledged yet. */
  readonly credit?: number;
  readonly lease_ms?: number;
};

/** Pushed mail of one agent, until it is disposed; that gives its leases back at once. */
export type Subscription = AsyncDisposable & {
  /** Lets `credit` more deliveries be outstanding. */
  addCredit(credit: number): Promise<void>;
  /** Resolves when nothing more will come: with the error if the server ended it, with undefined once it was disposed. */
  readonly ended: Promise<BusError | undefined>;
};

export type SubscriptionListener = {
  /** Must not throw. */
  delivered(delivery: Delivery): void;
  /** The connection is gone and every lease with it; what was leased will be delivered again. */
  leasesLost?(): void;
};

type Subscribed = SubscriptionListener & {
  input: StreamInput["subscribe"];
  /** Whether the server pushes for it on the present connection. */
  open: boolean;
  lost: PromiseWithResolvers<void>;
  readonly stopping: AbortController;
  readonly end: PromiseWithResolvers<BusError | undefined>;
};

/** The subscriptions of one connection, by agent. */
export type Subscriptions = Map<string, Subscribed>;

/** @throws BusError as `subscribe` of the bus does, and `invalid_input` for a second subscription to the same agent. */
export async function subscribe(
  subscriptions: Subscriptions,
  connection: Connection,
  input: SubscribeInput,
  listener: SubscriptionListener,
): Promise<Subscription> {
  // Deliveries name an agent by its id; the caller may have named it by an alias.
  const { agent_id } = (await connection.request("getAgent", { agent_id: input.agent_id }, { resend: true })) as {
    agent_id: AgentId;
  };
  if (subscriptions.has(agent_id)) {
    const message = `this client is subscribed to ${agent_id} already; give that subscription more credit, or connect again`;
    throw new BusError("invalid_input", message);
  }
  const subscribed: Subscribed = {
    ...listener,
    input: { ...input, agent_id, credit: input.credit ?? default_credit },
    open: false,
    lost: Promise.withResolvers(),
    stopping: new AbortController(),
    end: Promise.withResolvers(),
  };
  subscriptions.set(agent_id, subscribed);
  try {
    await open(connection, subscribed, { patient: false });
  } catch (error) {
    subscriptions.delete(agent_id);
    throw error;
  }
  const finish = (error: BusError | undefined) => {
    if (subscriptions.get(agent_id) === subscribed) subscriptions.delete(agent_id);
    subscribed.end.resolve(error);
  };
  keepOpen(connection, subscribed).then(finish, finish);
  return {
    ended: subscribed.end.promise,
    addCredit: (credit) => addCredit(connection, subscribed, credit),
    [Symbol.asyncDispose]: () => stop(connection, subscribed),
  };
}

async function open(connection: Connection, subscribed: Subscribed, { patient }: { patient: boolean }): Promise<void> {
  subscribed.lost = Promise.withResolvers();
  await connection.request("subscribe", subscribed.input, {
    resend: false,
    patient,
    signal: subscribed.stopping.signal,
    late: () => void unsubscribe(connection, subscribed),
  });
  subscribed.open = true;
}

/** Subscribes again whenever the connection was lost, until it is stopped or the server says no. */
async function keepOpen(connection: Connection, subscribed: Subscribed): Promise<undefined> {
  const { signal } = subscribed.stopping;
  await subscribed.lost.promise;
  while (!signal.aborted) {
    try {
      await open(connection, subscribed, { patient: true });
      await subscribed.lost.promise;
    } catch (error) {
      if (signal.aborted) break;
      if (!isPassing(error)) throw error;
      await pauseAfter(error as BusError);
    }
  }
  return undefined;
}

async function addCredit(connection: Connection, subscribed: Subscribed, credit: number): Promise<void> {
  const { agent_id } = subscribed.input;
  await connection.request("credit", { agent_id, credit }, { resend: false });
  subscribed.input = { ...subscribed.input, credit: Math.min(limits.credit, subscribed.input.credit + credit) };
}

async function stop(connection: Connection, subscribed: Subscribed): Promise<void> {
  if (!subscribed.stopping.signal.aborted) {
    subscribed.stopping.abort();
    try {
      if (subscribed.open) await unsubscribe(connection, subscribed);
    } finally {
      subscribed.lost.resolve();
    }
  }
  await subscribed.end.promise;
}

/** Where the connection is lost meanwhile, the server has ended the subscription just the same. */
async function unsubscribe(connection: Connection, { input: { agent_id } }: Subscribed): Promise<void> {
  try {
    await connection.request("unsubscribe", { agent_id }, { resend: false });
  } catch (error) {
    if (!isPassing(error)) throw error;
  }
}

export function delivered(subscriptions: Subscriptions, delivery: Delivery): void {
  subscriptions.get(delivery.agent_id)?.delivered(delivery);
}

export function subscriptionsLost(subscriptions: Subscriptions): void {
  for (const subscribed of subscriptions.values()) {
    subscribed.open = false;
    subscribed.leasesLost?.();
    subscribed.lost.resolve();
  }
}

/** For a client that closes: nothing is asked of the server any more. */
export function abandonSubscriptions(subscriptions: Subscriptions): void {
  for (const subscribed of subscriptions.values()) {
    subscribed.open = false;
    subscribed.stopping.abort();
    subscribed.lost.resolve();
  }
}
