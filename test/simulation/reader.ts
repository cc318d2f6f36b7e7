import type { Subscription } from "../../src/app/mailroom.ts";
import { BusError } from "../../src/contract/errors.ts";
import { type AgentId, type Delivery, moments, priorities } from "../../src/contract/messages.ts";
import type { Lease } from "../support/checker.ts";
import { ask, noteDeliveries, type Waiter, type World } from "./world.ts";

/** A program that reads an agent's mail: by asking, or by a subscription. It dawdles, forgets, crashes and comes back. */
export type Reader = {
  start(): void;
  /** From now on it does its work well. */
  reform(): void;
};

type State = {
  readonly world: World;
  readonly agent_id: AgentId;
  readonly polls: boolean;
  isReformed: boolean;
  /** Changes when the program starts anew: what an earlier life was about to do is not done any more. */
  life: number;
  stream: Stream | undefined;
};

type Stream = {
  readonly waiter: Waiter & { readonly stream: NonNullable<Waiter["stream"]> };
  /** Of the server that it leads to. */
  readonly death: AbortSignal;
  subscription: Subscription | undefined;
};

export function createReader(world: World, agent_id: AgentId, { polls }: { polls: boolean }): Reader {
  const state: State = { world, agent_id, polls, isReformed: false, life: 0, stream: undefined };
  return {
    start: () => live(state),
    reform() {
      state.isReformed = true;
    },
  };
}

function live(state: State): void {
  state.life += 1;
  if (state.polls) poll(state, state.life);
  else connect(state, state.life);
}

/** Plans something that is dropped should the program crash first. */
function later(state: State, delay_ms: number, action: () => void): void {
  const { life } = state;
  state.world.plan(delay_ms, () => {
    if (state.life === life) action();
  });
}

function poll(state: State, life: number): void {
  const { world, agent_id } = state;
  const { chance } = world;
  const lease_ms = leaseTime(state);
  const input = {
    agent_id,
    limit: chance.between(1, 8),
    lease_ms,
    wait_ms: chance.happens(0.5) ? chance.between(0, 5_000) : 0,
    ...(!state.isReformed && chance.happens(0.1) && { min_priority: chance.pick(priorities) }),
    ...(!state.isReformed && chance.happens(0.1) && { when: chance.pick(moments) }),
  };
  const gone = new AbortController();
  if (!state.isReformed && chance.happens(0.05)) later(state, chance.between(0, 3_000), () => gone.abort());
  ask(world, "claimMessages", input, {
    actor: agent_id,
    signal: gone.signal,
    onArrival() {
      if (input.wait_ms > 0) world.waiters.add(input);
    },
    onAnswered(answer) {
      world.waiters.delete(input);
      if (answer.ok) noteDeliveries(world, answer.output.deliveries, lease_ms);
      else if (!isCode(answer.error, "lease_limit", "agent_not_found")) world.fail(answer.error);
    },
    onAnswer(answer) {
      if (state.life !== life) return;
      for (const delivery of answer.ok ? answer.output.deliveries : []) handle(state, delivery, lease_ms);
      later(state, chance.between(1, 400), () => poll(state, life));
    },
    onSilence: () => later(state, chance.between(1, 400), () => poll(state, life)),
  });
}

function leaseTime({ world, isReformed }: State): number {
  return isReformed ? 30_000 : world.chance.between(1, 8) * 500;
}

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof BusError && codes.includes(error.code);
}

/** Opens a stream, and opens it again whenever it has broken. */
function connect(state: State, life: number): void {
  const { world, agent_id } = state;
  const { chance } = world;
  const again = () => later(state, chance.between(50, 1_500), () => connect(state, life));
  if (state.stream) return;
  const server = world.server();
  if (!server) {
    again();
    return;
  }
  const stream: Stream = {
    waiter: { agent_id, stream: { granted: chance.between(1, 6), leases: new Set() } },
    death: server.death,
    subscription: undefined,
  };
  state.stream = stream;
  const lease_ms = leaseTime(state);
  const isOpen = () => state.stream === stream && state.life === life && !server.death.aborted;
  const push = (deliveries: readonly Delivery[]) => {
    if (server.death.aborted) return;
    for (const { lease_id } of deliveries) stream.waiter.stream.leases.add(lease_id);
    noteDeliveries(world, deliveries, lease_ms);
    world.plan(chance.between(0, 40), () => {
      if (isOpen()) for (const delivery of deliveries) handle(state, delivery, lease_ms);
    });
  };
  const end = () => endStream(state, stream);
  server.death.addEventListener("abort", () => {
    const wasInUse = state.stream === stream;
    end();
    if (wasInUse && state.life === life) again();
  });
  const call = { caller: { actor: agent_id, scopes: ["operate"] as const } };
  void server.mailroom.subscribe({ agent_id, credit: stream.waiter.stream.granted, lease_ms }, push, call).then(
    (subscription) => {
      stream.subscription = subscription;
      if (state.stream !== stream) {
        endStream(state, stream);
        return;
      }
      world.waiters.add(stream.waiter);
      keepStream(state, life, { stream, end, again });
    },
    (error: unknown) => {
      if (!isCode(error, "agent_not_found")) world.fail(error);
      endStream(state, stream);
      again();
    },
  );
}

function endStream(state: State, stream: Stream): void {
  const { world } = state;
  const { subscription } = stream;
  if (state.stream === stream) state.stream = undefined;
  world.waiters.delete(stream.waiter);
  stream.subscription = undefined;
  if (subscription && !stream.death.aborted) subscription[Symbol.asyncDispose]().then(undefined, world.fail);
}

/** What happens to an open stream in time: more credit, or it breaks. */
function keepStream(
  state: State,
  life: number,
  { stream, end, again }: { readonly stream: Stream; readonly end: () => void; readonly again: () => void },
): void {
  const { chance, plan } = state.world;
  if (chance.happens(0.3)) {
    plan(chance.between(10, 2_000), () => {
      if (state.stream !== stream) return;
      const more = chance.between(1, 3);
      stream.waiter.stream.granted += more;
      stream.subscription?.addCredit(more);
    });
  }
  if (!chance.happens(0.5)) return;
  plan(chance.between(500, 20_000), () => {
    if (state.stream !== stream || state.isReformed) return;
    // The server may notice late that nobody is there any more, and push on into the void.
    state.stream = undefined;
    plan(chance.happens(0.5) ? 0 : chance.between(1, 3_000), end);
    if (state.life === life) again();
  });
}

function handle(state: State, delivery: Delivery, lease_ms: number): void {
  const { chance } = state.world;
  if (state.isReformed) {
    later(state, chance.between(1, 200), () => acknowledge(state, [delivery]));
    return;
  }
  if (chance.happens(0.01)) {
    crash(state);
    return;
  }
  // Now and then it is paused for longer than its lease lasts, and does not know.
  const work_ms = chance.happens(0.1) ? lease_ms + chance.between(-50, 3_000) : chance.between(1, 400);
  later(state, work_ms, () => finish(state, delivery));
}

/** Forgets everything; the server may hear of it at once or never. */
function crash(state: State): void {
  const { chance, plan } = state.world;
  const { stream } = state;
  state.life += 1;
  state.stream = undefined;
  if (stream) plan(chance.between(0, 10_000), () => endStream(state, stream));
  later(state, chance.between(100, 5_000), () => live(state));
}

function finish(state: State, delivery: Delivery): void {
  const { chance } = state.world;
  const dice = chance.between(1, 100);
  if (dice <= 60) acknowledge(state, [delivery]);
  else if (dice <= 65) {
    acknowledge(state, [delivery]);
    later(state, chance.between(0, 500), () => acknowledge(state, [delivery]));
  } else if (dice <= 80) reject(state, delivery);
  else if (dice <= 88) extend(state, delivery);
  else if (dice <= 94) record(state, delivery);
  // Else it forgets about it, and the lease runs out.
}

function leaseOf({ message, agent_id, lease_id }: Delivery): Lease {
  return { message_id: message.id, agent_id, lease_id };
}

function refOf({ message, lease_id }: Delivery) {
  return { message_id: message.id, lease_id };
}

function acknowledge(state: State, deliveries: readonly [Delivery]): void {
  const { world, agent_id } = state;
  const [delivery] = deliveries;
  const lease = leaseOf(delivery);
  const input = refOf(delivery);
  const onArrival = () => world.judge.acknowledging(lease);
  const onSilence = () => later(state, world.chance.between(1, 500), () => acknowledge(state, deliveries));
  const judged = (acknowledged: boolean) => {
    if (acknowledged) world.judge.acknowledged(lease);
    else world.judge.leaseLost(lease, world.clock.elapsed());
  };
  if (world.chance.happens(0.5)) {
    ask(world, "acknowledgeMessage", input, {
      actor: agent_id,
      onArrival,
      onSilence,
      onAnswered(answer) {
        if (answer.ok) judged(answer.output.acknowledged);
        else if (!isCode(answer.error, "message_not_found")) world.fail(answer.error);
      },
    });
    return;
  }
  ask(
    world,
    "acknowledgeMessages",
    { acknowledgements: [input] },
    {
      actor: agent_id,
      onArrival,
      onSilence,
      onAnswered(answer) {
        if (!answer.ok) world.fail(answer.error);
        else if (answer.output.results[0]?.reason !== "message_not_found") {
          judged(answer.output.results[0]?.acknowledged === true);
        }
      },
    },
  );
}

function reject(state: State, delivery: Delivery): void {
  const { world, agent_id } = state;
  const { chance } = world;
  const input = {
    ...refOf(delivery),
    ...(chance.happens(0.5) && { reason: "not today" }),
    ...(chance.happens(0.3) && { delay_ms: chance.pick([0, 1, 700, 20_000]) }),
  };
  ask(world, "rejectMessage", input, {
    actor: agent_id,
    onAnswered(answer) {
      if (answer.ok && answer.output.reason !== "lease_lost") world.judge.returned(leaseOf(delivery));
      if (!answer.ok && !isCode(answer.error, "message_not_found")) world.fail(answer.error);
    },
  });
}

function extend(state: State, delivery: Delivery): void {
  const { world, agent_id } = state;
  const lease_ms = world.chance.between(1, 5_000);
  ask(
    world,
    "extendLease",
    { ...refOf(delivery), lease_ms },
    {
      actor: agent_id,
      onAnswered(answer) {
        if (!answer.ok) {
          if (!isCode(answer.error, "message_not_found")) world.fail(answer.error);
        } else if (answer.output.reason !== "lease_lost") {
          world.judge.extended(leaseOf(delivery), world.clock.elapsed() + lease_ms);
        }
      },
      onAnswer: () => later(state, world.chance.between(1, lease_ms), () => acknowledge(state, [delivery])),
    },
  );
}

function record(state: State, delivery: Delivery): void {
  const { world, agent_id } = state;
  const input = { ...refOf(delivery), event: world.chance.pick(["injected", "seen"] as const) };
  ask(world, "recordEvidence", input, {
    actor: agent_id,
    onAnswered(answer) {
      if (!answer.ok && !isCode(answer.error, "message_not_found")) world.fail(answer.error);
    },
    onAnswer: () => later(state, world.chance.between(1, 100), () => acknowledge(state, [delivery])),
  });
}
