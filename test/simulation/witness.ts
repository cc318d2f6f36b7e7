import type {
  AcknowledgeOutcome,
  Claim,
  ClaimOutcome,
  ConversationStore,
  Death,
  DeliveryStore,
  FleetStore,
  HistoryStore,
  LeaseOutcome,
  LeaseRef,
  Publication,
  PublishOutcome,
  Redrive,
  Store,
  Sweep,
} from "../../src/app/ports.ts";
import { parseTimestamp, toTimestamp } from "../../src/base/time.ts";
import {
  type AgentId,
  type Delivery,
  type DeliveryStatus,
  type LeaseId,
  type MessageId,
  moments,
  priorities,
  type TracedMessage,
} from "../../src/contract/messages.ts";
import type { InboxCounts } from "../../src/core/messaging/inbox.ts";
import { type Judge, ledgerFaults } from "../support/checker.ts";
import type { Witness } from "./gate.ts";
import {
  accept,
  acceptImport,
  deliveriesOf,
  expectedOutcome,
  expectSame,
  forgettable,
  hasExpired,
  type Model,
  type ModelDelivery,
  openStates,
  rankNow,
  Violation,
} from "./model.ts";

/** What is to be remembered of what went through the gate. */
export type Observations = {
  /** Is told when leases end that nobody asked to end. */
  readonly judge: Judge;
  /** Registered agents with their groups and capabilities, and whether that changed since it was last looked at. */
  readonly fleet: Map<AgentId, { readonly groups: readonly string[]; readonly capabilities: readonly string[] }>;
  hasFleetChanged: boolean;
  /** `message_id agent_id` of every death whose sender has not been told yet → when it died, wall time. */
  readonly owed: Map<string, number>;
  /** Whether the server has been killed since the run began. */
  wasKilled: boolean;
  /** Whether leases may have ended without a word in the ledger. */
  losesLeases: boolean;
};

type Intents = DeliveryStore & HistoryStore & ConversationStore & FleetStore;
type Judges = {
  readonly [Intent in keyof Intents]?: (
    input: Parameters<Intents[Intent]>,
    output: Awaited<ReturnType<Intents[Intent]>>,
  ) => void | Promise<void>;
};

/** Compares every intent's outcome with what the model says, and takes it over into the model. */
export function createWitness(model: Model, real: () => Store, seen: Observations): Witness {
  const judges: Judges = { ...judgesOfDeliveries(model, real, seen), ...judgesOfTheRest(model, real, seen) };
  return (intent, input, output) => {
    // The gate passes on what the ports were given and answered, which is what their types say.
    const judge = judges[intent as keyof Intents] as ((input: unknown, output: unknown) => void) | undefined;
    return judge?.(input, output);
  };
}

function judgesOfDeliveries(model: Model, real: () => Store, seen: Observations): Judges {
  return {
    publish([publications], outcomes) {
      for (const [index, it] of publications.entries()) judgePublication(model, seen, it, outcomes[index]);
    },
    claim: ([claim], outcome) => judgeClaim(model, claim, outcome),
    acknowledge([leases], outcomes) {
      const expected = leases.map((it) => acknowledge(model, it));
      expectSame(outcomes, expected, "acknowledge");
    },
    reject: ([lease, , { delay_ms }], outcome) => judgeReject(model, seen, lease, delay_ms, outcome),
    extend([lease, lease_ms], outcome) {
      const delivery = judgeLease(model, lease, outcome);
      if (delivery) delivery.lease_ends_ms = model.clock.elapsed() + lease_ms;
    },
    record([lease], outcome) {
      judgeLease(model, lease, outcome);
    },
    release: ([leases], outcome) => judgeRelease(model, seen, leases, outcome),
    sweep: (_, swept) => judgeSweep(model, seen, real(), swept),
    redrive: ([redrive], { message_ids }) => judgeRedrive(model, seen, redrive, message_ids),
    retire([agent_id], deaths) {
      const open = deliveriesOf(model, agent_id).filter((it) => openStates.includes(it.state));
      for (const delivery of open) {
        endLease(seen, delivery);
        die(delivery);
      }
      judgeDeaths(seen, open, deaths, "retire");
    },
  };
}

function judgesOfTheRest(model: Model, real: () => Store, seen: Observations): Judges {
  const { conversations } = model;
  return {
    import([imports], added) {
      const expected = imports.map((it) => acceptImport(model, it));
      expectSame(added, expected, "import");
    },
    prune: ([before_ms], count) => judgePrune(model, real(), before_ms, count),
    message: ([id], message) => judgeMessage(model, seen, id, message),
    inbox: ([agent_id], counts) => judgeInbox(model, agent_id, counts),
    open([{ id, participants }], conversation) {
      conversations.set(id, { id, implicit: false, participants, status: "active" });
      expectSame([conversation.participants, conversation.status], [participants, "active"], "open");
    },
    changeStatus([id, status], conversation) {
      const known = conversations.get(id);
      if (known) known.status = status;
      expectSame(conversation?.status, known && status, "changeStatus");
    },
    conversation([id], conversation) {
      const known = conversations.get(id);
      const told = conversation && [conversation.status, conversation.participants];
      expectSame(told, known && [known.status, known.participants], `conversation ${id}`);
    },
    putAgent([{ agent_id, groups = [], capabilities = [] }]) {
      seen.fleet.set(agent_id, { groups, capabilities: capabilities.map((it) => it.name) });
      seen.hasFleetChanged = true;
    },
    removeAgent([agent_id], removed) {
      expectSame(removed, seen.fleet.delete(agent_id), `removal of ${agent_id}`);
      seen.hasFleetChanged = true;
    },
  };
}

function judgePublication(model: Model, seen: Observations, sent: Publication, outcome: PublishOutcome | undefined) {
  const expected = expectedOutcome(model, sent);
  expectSame(outcome?.outcome, expected.outcome, `publication of ${sent.id}`);
  if (outcome?.outcome === "duplicate" && expected.outcome === "duplicate") {
    expectSame(outcome.message.id, expected.first.publication.id, "first message");
  }
  if (outcome?.outcome !== "accepted" || expected.outcome !== "accepted") return;
  const { message } = outcome;
  if (expected.conversation_id) expectSame(message.conversation_id, expected.conversation_id, "conversation");
  else if (model.conversations.has(message.conversation_id)) {
    throw new Violation(`message ${message.id} joined the conversation ${message.conversation_id}, which it must not`);
  }
  expectSame([message.content, message.from_agent], [sent.content, sent.from_agent], "what was said");
  const ready = accept(model, sent, message.conversation_id, expected.reply_depth);
  expectSame([...outcome.ready].sort(), ready.sort(), `recipients that can have ${message.id} at once`);
  judgeRecipients(seen, sent);
  seen.judge.sent({ id: message.id, recipients: sent.recipients });
  seen.judge.accepted(message.id);
  if (sent.notice) noteNotice(seen, sent);
}

/** Whether it goes to all whom the address means and to nobody else. */
function judgeRecipients({ fleet, hasFleetChanged }: Observations, { to, from_agent, recipients }: Publication): void {
  if (!to || hasFleetChanged) return;
  const meant = [...fleet.entries()].filter(([agent_id, { groups, capabilities }]) => {
    if ("capability" in to) return capabilities.includes(to.capability);
    return agent_id !== from_agent && ("broadcast" in to || groups.includes(to.group));
  });
  const ids = meant.map(([agent_id]) => agent_id).sort();
  if (!("capability" in to)) expectSame([...recipients].sort(), ids, `recipients of ${JSON.stringify(to)}`);
  else if (recipients.length !== 1 || !recipients.every((it) => ids.includes(it))) {
    throw new Violation(`${recipients} got what was for one of ${ids}`);
  }
}

function noteNotice({ owed, wasKilled }: Observations, { metadata }: Publication): void {
  if (metadata["notice"] !== "dead_letter") return;
  const death = `${metadata["message_id"]} ${metadata["agent_id"]}`;
  // Only a server that was killed may have forgotten that it had told already; the idempotency key then holds it back.
  if (!owed.delete(death) && !wasKilled) throw new Violation(`a notice of a death that did not happen: ${death}`);
}

function judgeClaim(model: Model, claim: Claim, outcome: ClaimOutcome): void {
  const own = deliveriesOf(model, claim.agent_id);
  const left = model.policy.open_leases_per_agent - own.filter((it) => it.state === "leased").length;
  expectSame(outcome.outcome, left > 0 ? "claimed" : "lease_limit", `claim of ${claim.agent_id}`);
  if (outcome.outcome !== "claimed") return;
  const best = own
    .filter((it) => it.state === "ready" && !hasExpired(model, it) && suits(model, it, claim))
    .sort((a, b) => rankNow(model, a) - rankNow(model, b) || a.message.seq - b.message.seq)
    .slice(0, Math.min(claim.limit, left));
  const got = outcome.deliveries.map((it) => [it.message.id, it.attempt]);
  expectSame(
    got,
    best.map((it) => [it.message.publication.id, it.attempt + 1]),
    `best of ${claim.agent_id}'s inbox`,
  );
  for (const [index, it] of best.entries()) takeLease(model, it, claim.lease_ms, outcome.deliveries[index]);
}

function suits(model: Model, delivery: ModelDelivery, { min_priority, when }: Claim): boolean {
  const { publication } = delivery.message;
  if (min_priority && rankNow(model, delivery) > priorities.indexOf(min_priority)) return false;
  return when === undefined || moments.indexOf(publication.when) <= moments.indexOf(when);
}

function takeLease(model: Model, delivery: ModelDelivery, lease_ms: number, given: Delivery | undefined): void {
  if (!given) return;
  const used = [...model.messages.values()].some((it) =>
    it.deliveries.some(({ leases }) => leases.has(given.lease_id)),
  );
  if (used) throw new Violation(`the lease ${given.lease_id} was given twice`);
  expectSame(given.lease_expires_at, toTimestamp(model.clock.now() + lease_ms), "end of the lease");
  delivery.state = "leased";
  delivery.attempt += 1;
  delivery.lease_id = given.lease_id;
  delivery.leases.add(given.lease_id);
  delivery.lease_ends_ms = model.clock.elapsed() + lease_ms;
}

function deliveryOf(model: Model, { message_id, lease_id }: LeaseRef): ModelDelivery | undefined {
  return model.messages.get(message_id)?.deliveries.find((it) => it.leases.has(lease_id));
}

function holds(model: Model, { state, lease_id, lease_ends_ms }: ModelDelivery, lease: LeaseId): boolean {
  return state === "leased" && lease_id === lease && lease_ends_ms > model.clock.elapsed();
}

function acknowledge(model: Model, lease: LeaseRef): AcknowledgeOutcome {
  if (!model.messages.has(lease.message_id)) return "message_not_found";
  const delivery = deliveryOf(model, lease);
  if (delivery?.state === "acknowledged" && delivery.lease_id === lease.lease_id) return "acknowledged";
  if (!delivery || !holds(model, delivery, lease.lease_id)) return "lease_lost";
  delivery.state = "acknowledged";
  return "acknowledged";
}

/** @returns The delivery, if the lease holds. */
function judgeLease(model: Model, lease: LeaseRef, outcome: LeaseOutcome): ModelDelivery | undefined {
  const delivery = deliveryOf(model, lease);
  const isHeld = delivery !== undefined && holds(model, delivery, lease.lease_id);
  const expected = !model.messages.has(lease.message_id) ? "message_not_found" : isHeld ? "done" : "lease_lost";
  expectSame(outcome.outcome, expected, `lease ${lease.lease_id} of ${lease.message_id}`);
  return isHeld ? delivery : undefined;
}

function judgeReject(
  model: Model,
  seen: Observations,
  lease: LeaseRef,
  delay_ms: number | undefined,
  outcome: LeaseOutcome,
): void {
  const delivery = judgeLease(model, lease, outcome);
  if (!delivery || outcome.outcome !== "done") return;
  endLease(seen, delivery);
  fail(model, delivery, outcome.status, delay_ms);
  judgeDeaths(seen, delivery.state === "dead" ? [delivery] : [], outcome.dead ? [outcome.dead] : [], "reject");
}

/** What becomes of a delivery whose attempt failed; how long it waits is left to chance, within bounds. */
function fail(model: Model, delivery: ModelDelivery, status: DeliveryStatus | undefined, delay_ms?: number): void {
  const { message, attempt } = delivery;
  const { max_attempts, base_delay_ms, max_delay_ms } = model.policy.retry[message.publication.message_type];
  if (attempt >= max_attempts || hasExpired(model, delivery)) {
    die(delivery);
    expectSame(status?.state, "dead", `${message.publication.id} after its last attempt`);
    return;
  }
  const least_ms = delay_ms ?? 0;
  const most_ms = delay_ms ?? Math.min(max_delay_ms, base_delay_ms * 2 ** (attempt - 1));
  const waits_ms = status?.available_at ? (parseTimestamp(status.available_at) ?? 0) - model.clock.now() : 0;
  const expected = waits_ms > 0 ? "scheduled" : "ready";
  expectSame(status?.state, expected, `${message.publication.id} after a failed attempt`);
  if (waits_ms < least_ms || waits_ms > most_ms) {
    throw new Violation(`${message.publication.id} waits ${waits_ms} ms, not from ${least_ms} to ${most_ms}`);
  }
  delivery.state = expected;
  delivery.lease_id = undefined;
  delivery.not_before_wall_ms = Number.NEGATIVE_INFINITY;
  delivery.not_before_elapsed_ms = model.clock.elapsed() + waits_ms;
}

function endLease({ judge }: Observations, { message, agent_id, lease_id }: ModelDelivery): void {
  if (lease_id) judge.returned({ message_id: message.publication.id, agent_id, lease_id });
}

function die(delivery: ModelDelivery): void {
  delivery.state = "dead";
  delivery.lease_id = undefined;
}

function judgeDeaths(
  { owed }: Observations,
  expected: readonly ModelDelivery[],
  deaths: readonly Death[],
  what: string,
): void {
  const nameOf = (id: MessageId, agent_id: AgentId) => `${id} ${agent_id}`;
  const told = deaths.map((it) => nameOf(it.message.id, it.agent_id)).sort();
  expectSame(told, expected.map((it) => nameOf(it.message.publication.id, it.agent_id)).sort(), `deaths by ${what}`);
  for (const { message, agent_id, died_at } of deaths) {
    if (message.from_agent !== "hivepost") owed.set(nameOf(message.id, agent_id), Date.parse(died_at));
  }
}

function judgeRelease(
  model: Model,
  seen: Observations,
  leases: readonly LeaseId[],
  { deaths }: Pick<Sweep, "deaths">,
): void {
  const all = [...model.messages.values()].flatMap((it) => it.deliveries);
  const dead: ModelDelivery[] = [];
  for (const lease_id of leases) {
    const delivery = all.find((it) => it.state === "leased" && it.lease_id === lease_id);
    if (!delivery) continue;
    endLease(seen, delivery);
    const { max_attempts } = model.policy.retry[delivery.message.publication.message_type];
    if (delivery.attempt >= max_attempts || hasExpired(model, delivery)) {
      die(delivery);
      dead.push(delivery);
    } else {
      delivery.state = "ready";
      delivery.lease_id = undefined;
    }
  }
  judgeDeaths(seen, dead, deaths, "release");
}

async function judgeSweep(model: Model, seen: Observations, real: Store, swept: Sweep): Promise<void> {
  const elapsed = model.clock.elapsed();
  const all = [...model.messages.values()].flatMap((it) => it.deliveries);
  const open = all.filter((it) => openStates.includes(it.state));
  const ended = open.filter((it) => it.state === "leased" && it.lease_ends_ms <= elapsed);
  expectSame([...swept.expired].sort(), ended.map((it) => it.lease_id).sort(), "leases that have ended");
  for (const delivery of ended) {
    const message = await real.history.message(delivery.message.publication.id);
    const status = message?.deliveries.find((it) => it.agent_id === delivery.agent_id);
    // What could be had again at once may have expired in the same sweep.
    if (status?.state === "dead" && hasExpired(model, delivery)) die(delivery);
    else fail(model, delivery, status);
  }
  for (const delivery of open) {
    if (delivery.state !== "dead" && delivery.state !== "leased" && hasExpired(model, delivery)) die(delivery);
    const isDue = delivery.not_before_elapsed_ms <= elapsed && delivery.not_before_wall_ms <= model.clock.now();
    if (delivery.state === "scheduled" && isDue) delivery.state = "ready";
  }
  judgeDeaths(
    seen,
    open.filter((it) => it.state === "dead"),
    swept.deaths,
    "sweep",
  );
  judgeNextDue(model, open, swept);
}

/** Whoever sleeps until the next thing is due must not oversleep. */
function judgeNextDue(model: Model, open: readonly ModelDelivery[], { next_due_ms }: Sweep): void {
  const [now, elapsed] = [model.clock.now(), model.clock.elapsed()];
  const dues = open.map((it) => {
    if (it.state === "leased") return it.lease_ends_ms - elapsed;
    const expires_in_ms = (it.expires_at_ms ?? Number.POSITIVE_INFINITY) - now;
    if (it.state !== "scheduled") return it.state === "dead" ? Number.POSITIVE_INFINITY : expires_in_ms;
    return Math.min(expires_in_ms, Math.max(it.not_before_wall_ms - now, it.not_before_elapsed_ms - elapsed));
  });
  const next_ms = Math.min(...dues, Number.POSITIVE_INFINITY);
  if (next_ms < (next_due_ms ?? Number.POSITIVE_INFINITY) - 1) {
    throw new Violation(`something is due in ${next_ms} ms, but the sweep says ${next_due_ms}`);
  }
}

/** Only what is old in every respect is forgotten, and nothing else is lost with it. */
async function judgePrune(model: Model, { history }: Store, before_ms: number, count: number): Promise<void> {
  model.kept_since_ms = Math.max(model.kept_since_ms, before_ms);
  let forgotten = 0;
  for (const { publication } of forgettable(model, before_ms)) {
    const message = await history.message(publication.id);
    const isYoung = message?.ledger.some((it) => Date.parse(it.at) >= before_ms);
    if (message && !isYoung) throw new Violation(`${publication.id} should have been forgotten`);
    if (message) continue;
    model.messages.delete(publication.id);
    forgotten += 1;
  }
  expectSame(count, forgotten, "messages forgotten");
}

function judgeRedrive(
  model: Model,
  { judge }: Observations,
  redrive: Redrive,
  message_ids: readonly MessageId[],
): void {
  const chosen = [...model.messages.values()]
    .flatMap((it) => it.deliveries)
    .filter((it) => it.state === "dead" || it.state === "held")
    .filter((it) => redrive.agent_id === undefined || it.agent_id === redrive.agent_id)
    .filter(({ message }) => redrive.message_ids?.includes(message.publication.id) ?? true)
    .slice(0, redrive.limit);
  expectSame(
    message_ids,
    chosen.map((it) => it.message.publication.id),
    "redriven",
  );
  for (const delivery of chosen) {
    if (hasExpired(model, delivery)) delivery.expires_at_ms = undefined;
    delivery.state = "ready";
    delivery.attempt = 0;
    judge.redriven({ message_id: delivery.message.publication.id, agent_id: delivery.agent_id });
  }
}

function judgeMessage(model: Model, { losesLeases }: Observations, id: MessageId, message: TracedMessage | undefined) {
  const known = model.messages.get(id);
  expectSame(message?.id, known && id, "message by id");
  if (!known || !message) return;
  const told = message.deliveries.map((it) => [it.agent_id, it.state, it.attempt, it.lease_id]);
  const expected = known.deliveries.map((it) => {
    return [it.agent_id, it.state, it.attempt, it.state === "leased" ? it.lease_id : undefined];
  });
  expectSame(told, expected, `deliveries of ${id}`);
  const [fault] = ledgerFaults(message, { crashes: losesLeases });
  if (fault) throw new Violation(`message ${id} ${fault}`);
}

function judgeInbox(model: Model, agent_id: AgentId, { depth, dead }: InboxCounts): void {
  const own = deliveriesOf(model, agent_id);
  for (const priority of priorities) {
    for (const state of ["ready", "scheduled", "leased", "held"] as const) {
      const count = own.filter((it) => it.state === state && it.message.publication.priority === priority).length;
      expectSame(depth[priority][state], count, `${priority} ${state} of ${agent_id}`);
    }
  }
  expectSame(dead, own.filter((it) => it.state === "dead").length, `dead of ${agent_id}`);
}
