import type {
  AcknowledgeOutcome,
  Claim,
  ClaimOutcome,
  Death,
  LeaseOutcome,
  LeaseRef,
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
} from "../../src/contract/messages.ts";
import {
  allDeliveries,
  deliveriesOf,
  expectSame,
  hasExpired,
  type Model,
  type ModelDelivery,
  mayBeUndone,
  openStates,
  rankNow,
  Violation,
} from "./model.ts";
import type { Observations } from "./observations.ts";

export function judgeClaim(model: Model, claim: Claim, outcome: ClaimOutcome): void {
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
  mayBeUndone(model, delivery);
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

export function acknowledge(model: Model, lease: LeaseRef): AcknowledgeOutcome {
  if (!model.messages.has(lease.message_id)) return "message_not_found";
  const delivery = deliveryOf(model, lease);
  if (delivery?.state === "acknowledged" && delivery.lease_id === lease.lease_id) return "acknowledged";
  if (!delivery || !holds(model, delivery, lease.lease_id)) return "lease_lost";
  delivery.state = "acknowledged";
  model.unwritten.clear();
  return "acknowledged";
}

/** @returns The delivery, if the lease holds. */
export function judgeLease(model: Model, lease: LeaseRef, outcome: LeaseOutcome): ModelDelivery | undefined {
  const delivery = deliveryOf(model, lease);
  const isHeld = delivery !== undefined && holds(model, delivery, lease.lease_id);
  const expected = !model.messages.has(lease.message_id) ? "message_not_found" : isHeld ? "done" : "lease_lost";
  expectSame(outcome.outcome, expected, `lease ${lease.lease_id} of ${lease.message_id}`);
  return isHeld ? delivery : undefined;
}

export function judgeReject(
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

export function endLease({ judge }: Observations, { message, agent_id, lease_id }: ModelDelivery): void {
  if (lease_id) judge.returned({ message_id: message.publication.id, agent_id, lease_id });
}

export function die(delivery: ModelDelivery): void {
  delivery.state = "dead";
  delivery.lease_id = undefined;
}

export function judgeDeaths(
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

export function judgeRelease(
  model: Model,
  seen: Observations,
  leases: readonly LeaseId[],
  { deaths }: Pick<Sweep, "deaths">,
): void {
  const all = allDeliveries(model);
  const dead: ModelDelivery[] = [];
  for (const lease_id of leases) {
    const delivery = all.find((it) => it.state === "leased" && it.lease_id === lease_id);
    if (!delivery) continue;
    endLease(seen, delivery);
    mayBeUndone(model, delivery);
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

export async function judgeSweep(model: Model, seen: Observations, real: Store, swept: Sweep): Promise<void> {
  const elapsed = model.clock.elapsed();
  const all = allDeliveries(model);
  const open = all.filter((it) => openStates.includes(it.state));
  const ended = open.filter((it) => it.state === "leased" && it.lease_ends_ms <= elapsed);
  expectSame([...swept.expired].sort(), ended.map((it) => it.lease_id).sort(), "leases that have ended");
  for (const delivery of ended) {
    const message = await real.history.message(delivery.message.publication.id);
    const status = message?.deliveries.find((it) => it.agent_id === delivery.agent_id);
    mayBeUndone(model, delivery);
    // What could be had again at once may have expired in the same sweep.
    if (status?.state === "dead" && hasExpired(model, delivery)) die(delivery);
    else fail(model, delivery, status);
  }
  for (const delivery of open.filter((it) => it.state !== "dead" && it.state !== "leased")) fallDue(model, delivery);
  judgeDeaths(
    seen,
    open.filter((it) => it.state === "dead"),
    swept.deaths,
    "sweep",
  );
  judgeNextDue(model, open, swept);
}

function fallDue(model: Model, delivery: ModelDelivery): void {
  const isDue =
    delivery.not_before_elapsed_ms <= model.clock.elapsed() && delivery.not_before_wall_ms <= model.clock.now();
  const expires = hasExpired(model, delivery);
  if (!expires && !(delivery.state === "scheduled" && isDue)) return;
  mayBeUndone(model, delivery);
  if (expires) die(delivery);
  else delivery.state = "ready";
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

export function judgeRedrive(
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
