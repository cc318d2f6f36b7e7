import { defined } from "../base/defined.ts";
import { BusError } from "../contract/errors.ts";
import type { AgentId, Delivery, DeliveryStatus, LeaseId, MessageId } from "../contract/messages.ts";
import { actorOf, requireAgent } from "./agents.ts";
import { actsAs } from "./guard.ts";
import type { Call, Mailroom } from "./mailroom.ts";
import { sendDeathNotices } from "./notices.ts";
import { endLease, type Office } from "./office.ts";
import type { Claim, LeaseOutcome, LeaseRef } from "./ports.ts";

type DeliveryOperations = Pick<
  Mailroom,
  | "claimMessages"
  | "acknowledgeMessage"
  | "acknowledgeMessages"
  | "rejectMessage"
  | "extendLease"
  | "recordEvidence"
  | "redriveDeadLetters"
  | "releaseLeases"
>;

/** Messages moved back per step, so that a large redrive does not hold up the mail. */
const redrive_step = 500;

export function deliveryOperations(office: Office): DeliveryOperations {
  const { deliveries } = office.store;
  return {
    async claimMessages(input, call) {
      const { agent_id } = await requireAgent(office, input.agent_id);
      await office.store.fleet.touchAgent({ agent_id });
      const claim: Claim = {
        agent_id,
        limit: input.limit ?? 1,
        lease_ms: input.lease_ms ?? office.config.lease_ms,
        actor: actorOf(call),
        ...(input.min_priority && { min_priority: input.min_priority }),
        ...(input.when && { when: input.when }),
      };
      return { deliveries: [...(await claimOrWait(office, claim, input.wait_ms ?? 0, call))] };
    },

    async acknowledgeMessage(lease, call) {
      const [outcome] = await deliveries.acknowledge([ownLease(lease, call)], actorOf(call));
      if (outcome === "message_not_found") throw messageNotFound(lease.message_id);
      if (outcome !== "acknowledged") return { acknowledged: false, reason: "lease_lost" as const };
      endLease(office, lease.lease_id);
      return { acknowledged: true };
    },

    async acknowledgeMessages({ acknowledgements }, call) {
      const leases = acknowledgements.map((it) => ownLease(it, call));
      const outcomes = await deliveries.acknowledge(leases, actorOf(call));
      const results = acknowledgements.map(({ message_id, lease_id }, index) => {
        const outcome = outcomes[index];
        if (outcome === "acknowledged") {
          endLease(office, lease_id);
          return { message_id, acknowledged: true };
        }
        return { message_id, acknowledged: false, reason: outcome ?? "lease_lost" };
      });
      return { results };
    },

    async rejectMessage({ message_id, lease_id, reason, delay_ms }, call) {
      const lease = ownLease({ message_id, lease_id }, call);
      const options = { actor: actorOf(call), ...(delay_ms !== undefined && { delay_ms }) };
      const outcome = await deliveries.reject(lease, reason ?? "rejected", options);
      const status = answerFor(lease, outcome);
      if (outcome.outcome === "done") {
        endLease(office, lease_id);
        if (status.state === "ready") office.announcer.wake(status.agent_id);
        if (outcome.dead) await sendDeathNotices(office, [outcome.dead]);
      }
      return status;
    },

    async extendLease({ message_id, lease_id, lease_ms }, call) {
      const lease = ownLease({ message_id, lease_id }, call);
      return answerFor(lease, await deliveries.extend(lease, lease_ms, actorOf(call)));
    },

    async recordEvidence({ message_id, lease_id, event, reason }, call) {
      const lease = ownLease({ message_id, lease_id }, call);
      const evidence = { event, actor: actorOf(call), ...(reason !== undefined && { reason }) };
      return answerFor(lease, await deliveries.record(lease, evidence));
    },

    async redriveDeadLetters(selection, call) {
      return redriveAll(office, selection, actorOf(call));
    },

    async releaseLeases(leases, reason) {
      await release(office, leases, reason);
    },
  };
}

/** A lease that counts only if it is the caller's own, where the caller may act as one agent alone. */
function ownLease({ message_id, lease_id }: LeaseRef, call: Call): LeaseRef {
  return { message_id, lease_id, ...defined({ agent_id: actsAs(call) }) };
}

/** The best ready deliveries; if there are none, waits up to `wait_ms` for some, or until the caller has gone. */
async function claimOrWait(office: Office, claim: Claim, wait_ms: number, call: Call): Promise<readonly Delivery[]> {
  // Listening starts before the claim looks, so that mail which comes in between is not missed.
  const { voided } = call.caller;
  using mail = waitForMail(office, claim.agent_id, { wait_ms, ends: [call.signal, voided] });
  for (;;) {
    const claimed = await claimNow(office, claim);
    const isGone = call.signal?.aborted || voided?.aborted;
    if (claimed.length > 0 && isGone) return await giveBack(office, claimed);
    if (claimed.length > 0 || mail.isOver()) return claimed;
    await mail.next();
  }
}

async function claimNow({ store }: Office, claim: Claim): Promise<readonly Delivery[]> {
  const outcome = await store.deliveries.claim(claim);
  if (outcome.outcome === "claimed") return outcome.deliveries;
  throw new BusError(
    "lease_limit",
    `${claim.agent_id} holds ${outcome.open_leases} leases, as many as it may; acknowledge or reject some first`,
    { retry_after_ms: 1_000 },
  );
}

/** Nobody is there to take them any more: others shall have them at once. */
async function giveBack(office: Office, claimed: readonly Delivery[]): Promise<readonly Delivery[]> {
  await release(
    office,
    claimed.map((it) => it.lease_id),
    "the claimer had gone; lease returned",
  );
  return [];
}

/** Ends leases before their time and lets others have the messages. */
export async function release(office: Office, leases: readonly LeaseId[], reason: string): Promise<void> {
  if (leases.length === 0) return;
  const { woken, deaths } = await office.store.deliveries.release(leases, reason);
  for (const lease_id of leases) endLease(office, lease_id);
  for (const agent_id of woken) office.announcer.wake(agent_id);
  await sendDeathNotices(office, deaths);
}

/** Wake-ups for one waiting claim, until its time is over or its caller has gone. */
function waitForMail(
  { announcer, startTimer }: Office,
  agent_id: AgentId,
  { wait_ms, ends }: { readonly wait_ms: number; readonly ends: readonly (AbortSignal | undefined)[] },
) {
  let over = wait_ms === 0;
  let came = false;
  let wake: () => void = () => undefined;
  const end = () => {
    over = true;
    wake();
  };
  const stopListening = announcer.onMail(agent_id, () => {
    came = true;
    wake();
  });
  const cancelTimer = over ? undefined : startTimer(wait_ms, end);
  for (const signal of ends) signal?.addEventListener("abort", end, { once: true });
  return {
    isOver: () => over || ends.some((it) => it?.aborted),
    /** Resolves once there may be mail that the last claim did not see, or the wait is over. */
    async next() {
      if (!came && !over) await new Promise<void>((resolve) => (wake = resolve));
      came = false;
    },
    [Symbol.dispose]() {
      stopListening();
      cancelTimer?.();
      for (const signal of ends) signal?.removeEventListener("abort", end);
    },
  };
}

async function redriveAll(
  office: Office,
  { agent_id: name, message_ids }: { agent_id?: AgentId | undefined; message_ids?: readonly MessageId[] | undefined },
  actor: string,
): Promise<{ redriven: number; message_ids: MessageId[] }> {
  const agent_id = name && (await requireAgent(office, name)).agent_id;
  const all: MessageId[] = [];
  for (;;) {
    const redriven = await office.store.deliveries.redrive({
      ...(agent_id && { agent_id }),
      ...(message_ids && { message_ids }),
      limit: redrive_step,
      actor,
    });
    all.push(...redriven.message_ids);
    for (const woken of redriven.woken) office.announcer.wake(woken);
    if (redriven.message_ids.length < redrive_step) return { redriven: all.length, message_ids: all };
  }
}

function answerFor({ message_id }: LeaseRef, outcome: LeaseOutcome): DeliveryStatus {
  switch (outcome.outcome) {
    case "done":
      return outcome.status;
    case "lease_lost":
      return { ...outcome.status, reason: "lease_lost" };
    case "message_not_found":
      throw messageNotFound(message_id);
  }
}

export function messageNotFound(message_id: MessageId): BusError {
  return new BusError("message_not_found", `there is no message ${message_id}; search the history with GET /messages`);
}
