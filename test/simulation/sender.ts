import { toTimestamp } from "../../src/base/time.ts";
import { createUuidV7 } from "../../src/base/uuid.ts";
import { BusError } from "../../src/contract/errors.ts";
import {
  type Address,
  type AgentId,
  type ConversationId,
  type Message,
  type MessageId,
  moments,
  type NewMessage,
  priorities,
} from "../../src/contract/messages.ts";
import { ask, type World } from "./world.ts";

/** Who is registered at the moment: the simulation's own book, kept by whoever registers and removes. */
export type Registry = {
  readonly registered: Set<AgentId>;
  readonly groups: ReadonlyMap<string, readonly AgentId[]>;
  readonly capabilities: ReadonlyMap<string, readonly AgentId[]>;
};

/** A program that sends all kinds of mail for one agent, and again where no answer came. */
export function startSender(world: World, registry: Registry, agent_id: AgentId, messages: number): void {
  const { chance, plan, clock } = world;
  const state: SenderState = {
    world,
    registry,
    agent_id,
    answered: new Map(),
    conversations: new Set(),
    newId: createUuidV7(clock.now, chance.randomBytes),
    sent: 0,
  };
  const step = () => {
    if (state.sent >= messages) return;
    state.sent += 1;
    send(state, compose(state), 0);
    plan(chance.happens(0.5) ? chance.between(0, 50) : chance.between(50, 4_000), step);
  };
  plan(chance.between(0, 1_000), step);
}

type SenderState = {
  readonly world: World;
  readonly registry: Registry;
  readonly agent_id: AgentId;
  /** Idempotency key or own id → the id of the message it was answered with. */
  readonly answered: Map<string, MessageId>;
  readonly conversations: Set<ConversationId>;
  readonly newId: () => string;
  sent: number;
};

function compose(state: SenderState): NewMessage {
  const { world, agent_id, answered, conversations } = state;
  const { chance, clock } = world;
  const known = [...answered.values()];
  const to = chance.happens(0.25) ? { to: address(state) } : { to_agent: chance.pick([...state.registry.registered]) };
  const now = clock.now();
  const dice = chance.between(1, 100);
  return {
    from_agent: agent_id,
    ...to,
    content: `${agent_id} says number ${state.sent}, word${chance.between(1, 9)}`,
    priority: chance.pick(priorities),
    message_type: chance.pick(["task", "status", "question", "response"] as const),
    when: chance.pick(moments),
    metadata: { number: state.sent, sender: agent_id },
    ...(dice <= 40 && { idempotency_key: `${agent_id}-key-${state.sent}` }),
    ...(dice > 40 && dice <= 70 && { id: state.newId() as MessageId }),
    ...(known.length > 0 && chance.happens(0.35) && { reply_to: chance.pick(known) }),
    ...(chance.happens(0.02) && { reply_to: state.newId() as MessageId }),
    ...(chance.happens(0.1) && conversations.size > 0 && { conversation_id: chance.pick([...conversations]) }),
    ...(chance.happens(0.01) && { conversation_id: state.newId() as ConversationId }),
    ...(chance.happens(0.15) && { deliver_at: toTimestamp(now + chance.between(-1_000, 15_000)) }),
    ...(chance.happens(0.15) && { expires_at: toTimestamp(now + chance.between(16_000, 60_000)) }),
    ...(chance.happens(0.1) && { offline: chance.pick(["fail", "reroute"] as const) }),
  };
}

function address({ world, registry }: SenderState): Address {
  const { chance } = world;
  const kinds: readonly (() => Address)[] = [
    () => ({ group: chance.pick([...registry.groups.keys()]) }),
    () => ({ capability: chance.pick([...registry.capabilities.keys()]) }),
    () => ({ broadcast: true, ...(chance.happens(0.7) && { confirm: true }) }),
  ];
  return chance.pick(kinds)();
}

/** Refusals that a sender of all kinds of mail runs into. The model has judged whether each was right. */
const refusals: ReadonlySet<string> = new Set([
  "agent_not_found",
  "agent_offline",
  "capability_not_found",
  "confirmation_required",
  "conversation_closed",
  "conversation_not_found",
  "group_empty",
  "inbox_full",
  "invalid_input",
  "message_id_expired",
  "message_not_found",
]);

function send(state: SenderState, input: NewMessage, attempt: number): void {
  const { world, agent_id, answered } = state;
  const token = input.idempotency_key ?? input.id;
  const onSilence = () => {
    // Without a key or an id of its own, trying again might say the same thing twice.
    if (token !== undefined && attempt < 4) send(state, input, attempt + 1);
  };
  ask(world, "sendMessage", input, {
    actor: agent_id,
    onSilence,
    onAnswered(answer) {
      if (answer.ok) judgeAnswer(state, input, answer.output);
      else if (!(answer.error instanceof BusError && refusals.has(answer.error.code))) world.fail(answer.error);
    },
    onAnswer(answer) {
      if (!answer.ok) return;
      answered.set(token ?? answer.output.id, answer.output.id);
      state.conversations.add(answer.output.conversation_id);
      const whim = world.chance.between(1, 20);
      if (whim === 1) sayOtherwise(state, input);
      if (whim === 2 && token !== undefined) send(state, input, 4);
    },
  });
}

function judgeAnswer({ world, answered }: SenderState, input: NewMessage, message: Message): void {
  const token = input.idempotency_key ?? input.id;
  const first = token === undefined ? undefined : answered.get(token);
  // A key may be forgotten in time; an id never is.
  if (first && first !== message.id && input.id) {
    world.fail(new Error(`the id ${input.id} was answered with ${first} before, and now with ${message.id}`));
  }
  if (!world.isKnown(message.id)) world.fail(new Error(`the message ${message.id} was never accepted by the store`));
  if (message.content !== input.content) world.fail(new Error(`${input.content} was answered with ${message.content}`));
}

/** Uses a key or id again for something else, which must be refused as long as it is remembered. */
function sayOtherwise({ world, agent_id }: SenderState, { idempotency_key, id, to, to_agent }: NewMessage): void {
  if (!idempotency_key && !id) return;
  const other: NewMessage = {
    from_agent: agent_id,
    content: "something else",
    ...(to && { to }),
    ...(to_agent && { to_agent }),
    ...(idempotency_key && { idempotency_key }),
    ...(id && { id }),
  };
  ask(world, "sendMessage", other, {
    actor: agent_id,
    onAnswered(answer) {
      if (answer.ok && id) world.fail(new Error(`the id ${id} was taken for two messages`));
    },
  });
}
