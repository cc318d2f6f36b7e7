import { systemClock } from "../../base/clock.ts";
import { sameJson } from "../../base/json.ts";
import { BusError, type ErrorCode } from "../../contract/errors.ts";
import { limits } from "../../contract/limits.ts";
import type {
  AgentId,
  DeadLetter,
  Delivery,
  Message,
  MessageId,
  NewMessage,
  TracedMessage,
} from "../../contract/messages.ts";
import type { Input, Output } from "../../contract/operations.ts";
import { refusal } from "../../crypto/sealed/envelope.ts";
import { createReplayGuard, type ReplayGuard } from "../../crypto/sealed/replay-guard.ts";
import { newMessageId } from "../new-id.ts";
import type { Plain } from "../plain.ts";
import type { CallOptions, Client } from "../remote-bus.ts";
import type { SubscribeInput, Subscription } from "../subscription.ts";
import { type MessageHandler, Reject } from "../worker.ts";
import { type ConversationKeys, createConversationKeys } from "./conversation-keys.ts";
import type { KeyStore } from "./key-store.ts";
import { type OpenedMessage, openIfPossible, openMessage, type Reading } from "./opening.ts";
import { publishKeys, rotateOwnKeys } from "./publishing.ts";
import { type SealedNewMessage, sealMessage } from "./sealing.ts";
import { type SealingAgent, withOwnFingerprint } from "./sealing-agent.ts";

export type SealedClientOptions = {
  /** Who it seals as and opens for, by its own id. */
  readonly agent_id: string;
  readonly keys: KeyStore;
  /** How long replaced private keys are kept, and opened messages remembered. Default 30 days. */
  readonly retention_ms?: number;
  /** Hears of deliveries that were given back because their seal does not hold or nobody here can open them. */
  readonly onRefused?: (refused: RefusedDelivery) => void;
};

/** A delivery that was rejected, with this as the reason. */
export type RefusedDelivery = {
  readonly message_id: MessageId;
  readonly from_agent: AgentId;
  readonly code: ErrorCode;
  readonly reason: string;
};

type OpenedDeadLetter = DeadLetter & { readonly message: Message & Reading };
type OpenedDelivery = Delivery & { readonly message: Message & Reading };

/**
 * A client as which one agent's mail is sealed from end to end. Everything it sends is sealed; what it gets sealed comes out opened,
 * with `verified`; what does not hold is rejected, with the reason in the ledger. What others send unsealed comes as it is,
 * without `verified`.
 */
export type SealedClient = Omit<
  Client,
  "claimMessages" | "subscribe" | "getMessage" | "searchMessages" | "listDeadLetters"
> & {
  /** Of the agent's own keys: what its owner reads out to others. */
  fingerprint(): Promise<string>;
  /** A message sealed now, to be sent later: by an outbox, say. */
  seal(message: Plain<NewMessage>): Promise<SealedNewMessage>;
  /** New keys for the agent, published at once. Who writes to it has to trust them before anything more is sealed. */
  rotateOwnKeys(): Promise<string>;
  claimMessages(
    input: Plain<Input<"claimMessages">>,
    options?: CallOptions,
  ): Promise<{ readonly deliveries: readonly OpenedDelivery[]; readonly refused: readonly RefusedDelivery[] }>;
  subscribe(input: SubscribeInput, handler: (delivery: OpenedDelivery) => void): Promise<Subscription>;
  getMessage(input: Plain<Input<"getMessage">>, options?: CallOptions): Promise<TracedMessage & Reading>;
  /** Words are not found in what is sealed; its envelope is. */
  searchMessages(
    input: Plain<Input<"searchMessages">>,
    options?: CallOptions,
  ): Promise<Omit<Output<"searchMessages">, "messages"> & { readonly messages: readonly (Message & Reading)[] }>;
  listDeadLetters(
    input: Plain<Input<"listDeadLetters">>,
    options?: CallOptions,
  ): Promise<Omit<Output<"listDeadLetters">, "dead_letters"> & { readonly dead_letters: readonly OpenedDeadLetter[] }>;
};

const default_retention_ms = 30 * 86_400_000;

type Sealing = {
  readonly client: Client;
  readonly agent: SealingAgent;
  readonly ring: ConversationKeys;
  readonly guard: ReplayGuard;
  readonly onRefused: (refused: RefusedDelivery) => void;
};

/**
 * Makes an agent's keys where it has none, and publishes them.
 *
 * @throws BusError `key_changed` where the registry shows keys for the agent that are none of its own
 */
export async function sealedClient(client: Client, options: SealedClientOptions): Promise<SealedClient> {
  const { keys, retention_ms = default_retention_ms, onRefused = () => undefined } = options;
  const { now } = systemClock;
  // The server checks names.
  const agent: SealingAgent = { agent_id: options.agent_id as AgentId, keys, bus: client, now };
  await publishKeys(agent);
  await keys.forget(agent.agent_id, now() - retention_ms);
  const ring = createConversationKeys(agent);
  const sealing = { client, agent, ring, guard: createReplayGuard({ retention_ms }), onRefused };
  return {
    ...client,
    fingerprint: () => publishKeys(agent),
    rotateOwnKeys: () => rotateOwnKeys(agent, now() - retention_ms),
    getAgentKeys: async (input, call) => withOwnFingerprint(await client.getAgentKeys(input, call)),
    seal: (message) => sealMessage(agent, ring, message),
    sendMessage: (message, call) => send(sealing, message, call),
    sendMessages: ({ messages }, call) => sendEach(sealing, messages, call),
    claimMessages: (input, call) => claim(sealing, input, call),
    subscribe: (input, handler) => subscribeOpened(sealing, input, handler),
    worker: (agent_id, handler, worker) => client.worker(agent_id, openedFirst(sealing, handler), worker),
    async listDeadLetters(input, call) {
      const found = await client.listDeadLetters(input, call);
      const opened = found.dead_letters.map(async (it) => ({
        ...it,
        message: await openIfPossible(agent, ring, it.message),
      }));
      return { ...found, dead_letters: await Promise.all(opened) };
    },
    getMessage: async (input, call) => openIfPossible(agent, ring, await client.getMessage(input, call)),
    async searchMessages(input, call) {
      const found = await client.searchMessages(input, call);
      return { ...found, messages: await Promise.all(found.messages.map((it) => openIfPossible(agent, ring, it))) };
    },
  };
}

async function send(sealing: Sealing, given: Plain<NewMessage>, call?: CallOptions): Promise<Message> {
  const { client, agent, ring } = sealing;
  const message = { ...given, id: given.id ?? newMessageId() };
  const attempt = async () => client.sendMessage(await sealMessage(agent, ring, message), call);
  const sent = await attempt().catch((error: unknown) => {
    // The recipients or their keys have changed since they were looked up.
    if (given.sealed === undefined && isRefusal(error, "sealed_for_others")) return attempt();
    if (given.id !== undefined && isRefusal(error, "idempotency_conflict")) return sentBefore(sealing, given, error);
    throw error;
  });
  return { ...sent, content: given.content ?? "", metadata: given.metadata ?? {} };
}

/** Sealed twice, a message has two seals: whether it says the same, only who can open the first one can tell. */
async function sentBefore(sealing: Sealing, again: Plain<NewMessage>, conflict: unknown): Promise<Message> {
  const { client, agent, ring } = sealing;
  const { deliveries: _, ledger: __, ...sent } = await client.getMessage({ message_id: again.id ?? "" });
  const { message } = await openMessage(agent, ring, sent);
  const { content = "", metadata = {}, to, to_agent = message.to_agent } = again;
  const isSame =
    message.content === content &&
    sameJson(message.metadata, metadata) &&
    sameJson(message.to, to) &&
    message.to_agent === to_agent;
  if (!isSame) throw conflict;
  return sent;
}

async function sendEach(
  { client, agent, ring }: Sealing,
  messages: readonly Plain<NewMessage>[],
  call?: CallOptions,
): Promise<Output<"sendMessages">> {
  const sealed = await Promise.all(messages.map((it) => sealMessage(agent, ring, it).catch(asRefusal)));
  const sendable = sealed.filter((it): it is SealedNewMessage => !(it instanceof BusError));
  const sent = sendable.length === 0 ? [] : (await client.sendMessages({ messages: sendable }, call)).results;
  let next = 0;
  const results = sealed.map((it): Output<"sendMessages">["results"][number] => {
    const result = it instanceof BusError ? undefined : sent[next++];
    return result ?? { ok: false, error: { code: (it as BusError).code, message: (it as BusError).message } };
  });
  return { results };
}

async function claim(sealing: Sealing, input: Plain<Input<"claimMessages">>, call?: CallOptions) {
  for (;;) {
    const claimed = (await sealing.client.claimMessages(input, call)).deliveries;
    const received = await Promise.all(claimed.map((it) => receive(sealing, it)));
    const deliveries = received.filter((it) => it !== undefined && "message" in it);
    const refused = received.filter((it) => it !== undefined && "reason" in it);
    // What came were keys alone: there may be messages behind them.
    if (claimed.length === 0 || deliveries.length + refused.length > 0) return { deliveries, refused };
  }
}

/** In the order of the deliveries, however long it takes to open each. */
function subscribeOpened(sealing: Sealing, input: SubscribeInput, handler: (delivery: OpenedDelivery) => void) {
  let before: Promise<unknown> = Promise.resolve();
  return sealing.client.subscribe(input, (delivery) => {
    const receiving = receive(sealing, delivery);
    before = before.then(async () => {
      const received = await receiving;
      if (received && "message" in received) handler(received);
    });
  });
}

/** What is not for the handler is done with here: a key is taken and acknowledged, what does not hold is rejected. */
async function receive(sealing: Sealing, delivery: Delivery): Promise<OpenedDelivery | RefusedDelivery | undefined> {
  const { client } = sealing;
  const { message, lease_id } = delivery;
  try {
    const { message: opened, key } = await openDelivery(sealing, message);
    if (!key) return { ...delivery, message: opened };
    await client.acknowledgeMessage({ message_id: message.id, lease_id });
    return undefined;
  } catch (error) {
    const refused = toRefused(message, error);
    // Should this fail, the lease ends by itself, and the message comes again.
    await client.rejectMessage({ message_id: message.id, lease_id, reason: reasonOf(refused) }).catch(() => undefined);
    sealing.onRefused(refused);
    return refused;
  }
}

/**
 * A worker rejects what its handler throws, and acknowledges a key whose handler has nothing to do. The words of an error may
 * be the message's own, as where it is no JSON: of what was sealed they stay here, for `onError`.
 */
function openedFirst(sealing: Sealing, handler: MessageHandler): MessageHandler {
  return async (message, context) => {
    const { message: opened, key } = await openDelivery(sealing, message).catch((cause: unknown) => {
      const refused = toRefused(message, cause);
      sealing.onRefused(refused);
      throw new Reject(reasonOf(refused), { cause });
    });
    if (key) return undefined;
    try {
      return await handler(opened, { ...context, delivery: { ...context.delivery, message: opened } });
    } catch (cause) {
      if (cause instanceof Reject || !opened.verified) throw cause;
      throw new Reject("the handler failed; the message was sealed, so only its recipient knows why", { cause });
    }
  };
}

async function openDelivery({ agent, ring, guard }: Sealing, message: Message): Promise<OpenedMessage> {
  const it = await openMessage(agent, ring, message);
  if (it.opened) {
    requireAddressed(message, agent.agent_id);
    guard.admit(message.id, it.opened, agent.now());
  }
  return it;
}

/** More can open a message than it is meant for: its sender, and all who take part in its conversation. */
function requireAddressed({ id, to_agent, from_agent }: Message, reader: AgentId): void {
  const isForMany = /^(group:|broadcast$)/.test(to_agent) && from_agent !== reader;
  if (to_agent === reader || isForMany) return;
  throw refusal(id, `it is addressed to ${to_agent}, and ${reader} can read it but was not meant to act on it`);
}

function toRefused({ id, from_agent }: Message, error: unknown): RefusedDelivery {
  const { code, message } = error instanceof BusError ? error : { code: "internal" as const, message: String(error) };
  return { message_id: id, from_agent, code, reason: message };
}

function reasonOf({ code, reason }: RefusedDelivery): string {
  return `${code}: ${reason}`.slice(0, limits.reason_length);
}

function isRefusal(error: unknown, code: ErrorCode): boolean {
  return error instanceof BusError && error.code === code;
}

function asRefusal(error: unknown): BusError {
  if (error instanceof BusError) return error;
  throw error;
}
