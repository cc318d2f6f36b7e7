import type { AgentId, LeaseId, LedgerEntry, MessageId, TracedMessage } from "../../src/contract/messages.ts";

/*
 * An independent judge of what senders and readers saw. It knows nothing of how the bus works, only what it promises:
 * what was accepted reaches exactly its recipients, nothing comes after its acknowledgement was accepted, a lease is held
 * by one at a time, attempts keep within their limit, and what was sent first in a lane is first seen first.
 *
 * It remembers only messages that are still on their way, so it can watch hundreds of millions of them.
 */

export type Sending = {
  readonly id: MessageId;
  readonly recipients: readonly AgentId[];
  /** What is sent in one lane (one sender's connection, one recipient, one priority) is promised to come in order. */
  readonly lane?: string;
};

/** A delivery as its reader saw it. Times by any one clock that never jumps. */
export type Sighting = {
  readonly message_id: MessageId;
  readonly agent_id: AgentId;
  readonly lease_id: LeaseId;
  readonly attempt: number;
  readonly at_ms: number;
  /** Before this moment nobody else may get it. */
  readonly lease_until_ms: number;
};

export type JudgeCounts = {
  readonly sent: number;
  readonly accepted: number;
  readonly refused: number;
  /** First deliveries, and those that were seen again. */
  readonly delivered: number;
  readonly delivered_again: number;
  /** Deliveries whose acknowledgement was accepted. */
  readonly acknowledged: number;
  readonly leases_lost: number;
};

export type Judge = {
  sent(sending: Sending): void;
  accepted(id: MessageId): void;
  /** An error that means "not accepted": it must never be seen. */
  refused(id: MessageId): void;
  /** Sent once more after no answer came: nobody knows any more which place in its lane it has. */
  resent(id: MessageId): void;
  delivered(sighting: Sighting): void;
  /** An acknowledgement left; what becomes of it may never be known. */
  acknowledging(lease: Lease): void;
  acknowledged(lease: Lease): void;
  /** An acknowledgement that came too late. */
  leaseLost(lease: Lease, at_ms: number): void;
  extended(lease: Lease, lease_until_ms: number): void;
  /** The reader gave it back, so that another may have it at once. */
  returned(lease: Lease): void;
  /** An operator put it back into its inbox, with all attempts before it. */
  redriven(lease: Omit<Lease, "lease_id">): void;
  /** Connections or the server ended: no lease holds any more, and what was under way has lost its place in the lane. */
  interrupted(): void;
  /** Compares what the server says of a message in the end with what was seen of it. */
  audit(message: TracedMessage, options?: LedgerOptions): void;
  /** The server says that there is no such message. */
  absent(id: MessageId): void;
  isOpen(id: MessageId): boolean;
  /** Messages that are not known to be acknowledged by all their recipients. */
  openIds(): MessageId[];
  /** Those among them whose acknowledgement left, and nobody knows what became of it. */
  doubtfulIds(): MessageId[];
  /** How many are open. */
  readonly openCount: number;
  readonly counts: JudgeCounts;
  /** What broke a promise, in words; the first few. */
  readonly complaints: readonly string[];
};

export type Lease = { readonly message_id: MessageId; readonly agent_id: AgentId; readonly lease_id: LeaseId };

type Way = {
  lease: { id: LeaseId; until_ms: number; epoch: number } | undefined;
  attempt: { number: number; epoch: number } | undefined;
  state: "unseen" | "seen" | "acknowledging" | "acknowledged";
};
type Entry = {
  readonly sending: Sending;
  readonly place: number;
  readonly ways: ReadonlyMap<AgentId, Way>;
  /** In which uninterrupted stretch it was sent; undefined once it has lost its place. */
  epoch: number | undefined;
  accepted: boolean;
};
type Judgement = {
  readonly max_attempts: number;
  readonly open: Map<MessageId, Entry>;
  readonly lanes: Map<string, { sent: number; seen: number }>;
  readonly counts: { -readonly [Name in keyof JudgeCounts]: number };
  readonly complaints: string[];
  epoch: number;
};

/** Complaints kept: the first ones tell most. */
const most_complaints = 20;

export function createJudge({ max_attempts }: { max_attempts: number }): Judge {
  const judgement: Judgement = {
    max_attempts,
    open: new Map(),
    lanes: new Map(),
    counts: { sent: 0, accepted: 0, refused: 0, delivered: 0, delivered_again: 0, acknowledged: 0, leases_lost: 0 },
    complaints: [],
    epoch: 0,
  };
  const { open, counts } = judgement;
  return {
    ...sendersSide(judgement),
    ...readersSide(judgement),
    interrupted() {
      judgement.epoch += 1;
    },
    audit: (message, options) => audit(judgement, message, options),
    absent(id) {
      if (open.get(id)?.accepted) complain(judgement, id, "was accepted, but the server does not know it");
      open.delete(id);
    },
    isOpen: (id) => open.has(id),
    openIds: () => [...open.keys()],
    doubtfulIds() {
      const isDoubtful = ({ ways }: Entry) => [...ways.values()].some((it) => it.state === "acknowledging");
      return [...open.values()].filter(isDoubtful).map((it) => it.sending.id);
    },
    get openCount() {
      return open.size;
    },
    counts,
    complaints: judgement.complaints,
  };
}

function complain({ complaints }: Judgement, id: MessageId, what: string): void {
  if (complaints.length < most_complaints) complaints.push(`message ${id} ${what}`);
}

function sendersSide(judgement: Judgement): Pick<Judge, "sent" | "accepted" | "refused" | "resent"> {
  const { open, counts, lanes } = judgement;
  return {
    sent(sending) {
      counts.sent += 1;
      const lane = lanes.get(sending.lane ?? "") ?? { sent: 0, seen: 0 };
      if (sending.lane !== undefined) lanes.set(sending.lane, lane);
      const ways = new Map(sending.recipients.map((it) => [it, unseen()]));
      const epoch = sending.lane === undefined ? undefined : judgement.epoch;
      open.set(sending.id, { sending, place: ++lane.sent, ways, epoch, accepted: false });
    },
    accepted(id) {
      counts.accepted += 1;
      const entry = open.get(id);
      if (entry) {
        entry.accepted = true;
        closeIfDone(judgement, entry);
      } else complain(judgement, id, "was accepted, but nobody sent it or it was done with before");
    },
    refused(id) {
      counts.refused += 1;
      const entry = open.get(id);
      const seen = entry && [...entry.ways.values()].some((it) => it.state !== "unseen");
      if (seen) complain(judgement, id, "was refused, but had been delivered");
      open.delete(id);
    },
    resent(id) {
      const entry = open.get(id);
      if (entry) entry.epoch = undefined;
    },
  };
}

function unseen(): Way {
  return { lease: undefined, attempt: undefined, state: "unseen" };
}

function closeIfDone({ open }: Judgement, { sending, ways, accepted }: Entry): void {
  if (accepted && [...ways.values()].every((it) => it.state === "acknowledged")) open.delete(sending.id);
}

type ReadersSide = Pick<
  Judge,
  "delivered" | "acknowledging" | "acknowledged" | "leaseLost" | "extended" | "returned" | "redriven"
>;

function readersSide(judgement: Judgement): ReadersSide {
  const { open, counts } = judgement;
  const wayOf = ({ message_id, agent_id }: Omit<Lease, "lease_id">) => open.get(message_id)?.ways.get(agent_id);
  return {
    delivered: (sighting) => judgeSighting(judgement, sighting),
    acknowledging(lease) {
      const way = wayOf(lease);
      if (way?.state === "seen") way.state = "acknowledging";
    },
    acknowledged(lease) {
      const entry = open.get(lease.message_id);
      const way = entry?.ways.get(lease.agent_id);
      // An acknowledgement repeated with its own lease is accepted again.
      if (!entry || !way || way.state === "acknowledged") return;
      if (way.lease?.id !== lease.lease_id) {
        complain(judgement, lease.message_id, `was acknowledged with ${lease.lease_id}, but ${way.lease?.id} holds it`);
      }
      counts.acknowledged += 1;
      way.state = "acknowledged";
      way.lease = undefined;
      closeIfDone(judgement, entry);
    },
    leaseLost(lease, at_ms) {
      counts.leases_lost += 1;
      const way = wayOf(lease);
      if (!way || way.lease?.id !== lease.lease_id) return;
      if (isHeld(judgement, way, at_ms)) complain(judgement, lease.message_id, "lost its lease before its time");
      way.state = "seen";
    },
    extended(lease, lease_until_ms) {
      const way = wayOf(lease);
      if (way?.lease?.id === lease.lease_id) way.lease.until_ms = lease_until_ms;
    },
    returned(lease) {
      const way = wayOf(lease);
      if (way?.lease?.id === lease.lease_id) way.lease = undefined;
    },
    redriven(delivery) {
      const way = wayOf(delivery);
      if (way) Object.assign(way, { lease: undefined, attempt: undefined });
    },
  };
}

function isHeld({ epoch }: Judgement, { lease }: Way, at_ms: number): boolean {
  return lease !== undefined && lease.epoch === epoch && at_ms < lease.until_ms;
}

function judgeSighting(judgement: Judgement, sighting: Sighting): void {
  const { open, counts, epoch } = judgement;
  const { message_id, agent_id, lease_id, attempt } = sighting;
  const entry = open.get(message_id);
  const way = entry?.ways.get(agent_id);
  if (!entry || !way) {
    const why = entry ? `, but was for ${[...entry.ways.keys()]}` : ": refused, never sent, or already done with";
    complain(judgement, message_id, `came to ${agent_id}${why}`);
    return;
  }
  if (way.state === "acknowledged") complain(judgement, message_id, `came to ${agent_id} after its acknowledgement`);
  if (way.lease?.id !== lease_id && isHeld(judgement, way, sighting.at_ms)) {
    complain(judgement, message_id, `was leased to two at once: ${way.lease?.id} and ${lease_id}`);
  }
  judgeAttempt(judgement, message_id, way, attempt);
  if (way.state === "unseen") {
    counts.delivered += 1;
    judgePlace(judgement, entry);
  } else counts.delivered_again += 1;
  way.state = way.state === "acknowledged" ? "acknowledged" : "seen";
  way.lease = { id: lease_id, until_ms: sighting.lease_until_ms, epoch };
  way.attempt = { number: attempt, epoch };
}

function judgeAttempt(judgement: Judgement, id: MessageId, { attempt: before }: Way, attempt: number): void {
  if (attempt < 1 || attempt > judgement.max_attempts) {
    complain(judgement, id, `was delivered for the ${attempt}. time; at most ${judgement.max_attempts} are allowed`);
  }
  if (before?.epoch === judgement.epoch && attempt <= before.number) {
    complain(judgement, id, `came as attempt ${attempt} after attempt ${before.number}`);
  }
}

/** Whether it came before something of its lane that was sent earlier. */
function judgePlace(judgement: Judgement, { sending, place, epoch }: Entry): void {
  const lane = judgement.lanes.get(sending.lane ?? "");
  if (!lane || epoch !== judgement.epoch) return;
  if (place < lane.seen) complain(judgement, sending.id, `was overtaken in its lane ${sending.lane}`);
  lane.seen = Math.max(lane.seen, place);
}

function audit(judgement: Judgement, message: TracedMessage, options: LedgerOptions = {}): void {
  const entry = judgement.open.get(message.id);
  const to = message.deliveries.map((it) => it.agent_id).sort();
  const meant = entry && [...entry.ways.keys()].sort();
  if (meant && String(meant) !== String(to)) complain(judgement, message.id, `went to ${to}, but was for ${meant}`);
  for (const { agent_id, state, reason } of message.deliveries) {
    if (state !== "acknowledged") complain(judgement, message.id, `is ${state} for ${agent_id} in the end (${reason})`);
    else if (entry?.ways.get(agent_id)?.state === "unseen") {
      complain(judgement, message.id, `is acknowledged for ${agent_id}, which never saw it`);
    }
  }
  for (const fault of ledgerFaults(message, options)) complain(judgement, message.id, fault);
  if (!entry) return;
  // What became of an acknowledgement without an answer is known now; the answer to the sending may yet come.
  for (const way of entry.ways.values()) way.state = "acknowledged";
  closeIfDone(judgement, entry);
}

export type LedgerOptions = {
  /** Whether the server may have been killed: leases then end without a word. */
  readonly crashes?: boolean;
};

type Step = "accepted" | "scheduled" | "ready" | "leased" | "failed" | "held" | "acknowledged" | "dead";

/** From which steps an event may follow, and where it leads; undefined: it stays where it is. */
const grammar: Readonly<Record<LedgerEntry["event"], { readonly from: readonly Step[]; readonly to?: Step }>> = {
  accepted: { from: [], to: "accepted" },
  imported: { from: [], to: "acknowledged" },
  rerouted: { from: ["accepted", "scheduled", "held"] },
  scheduled: { from: ["accepted", "failed"], to: "scheduled" },
  held: { from: ["accepted"], to: "held" },
  // From ready to ready: it ranks higher for having waited. From leased: the lease was given back.
  ready: { from: ["accepted", "scheduled", "ready", "leased", "failed"], to: "ready" },
  leased: { from: ["accepted", "ready"], to: "leased" },
  injected: { from: ["leased"] },
  seen: { from: ["leased"] },
  lease_extended: { from: ["leased"] },
  acknowledged: { from: ["leased"], to: "acknowledged" },
  rejected: { from: ["leased"], to: "failed" },
  lease_expired: { from: ["leased"], to: "failed" },
  dead: { from: ["accepted", "scheduled", "ready", "leased", "failed", "held"], to: "dead" },
  redriven: { from: ["dead", "held"], to: "ready" },
};

const statesOf: Readonly<Record<Step, string>> = {
  accepted: "ready",
  scheduled: "scheduled",
  ready: "ready",
  leased: "leased",
  failed: "nothing: a failure must lead somewhere",
  held: "held",
  acknowledged: "acknowledged",
  dead: "dead",
};

/** Where a message's ledger contradicts itself or the state of its deliveries; empty if all is well. */
export function ledgerFaults(
  { deliveries, ledger, acknowledged }: TracedMessage,
  { crashes = false }: LedgerOptions = {},
): string[] {
  const faults: string[] = [];
  for (const { agent_id, state, attempt } of deliveries) {
    const read = readLedger(
      ledger.filter((it) => it.agent_id === agent_id),
      crashes,
    );
    faults.push(...read.faults.map((it) => `has a ledger that cannot be, for ${agent_id}: ${it}`));
    const told = read.step && statesOf[read.step];
    if (told !== state && !(crashes && read.step === "leased" && state === "ready")) {
      faults.push(`is ${state} for ${agent_id}, but its ledger ends with ${told}`);
    }
    const counted = read.attempts === attempt || (crashes && state !== "leased" && read.attempts >= attempt);
    if (state !== "dead" && !counted) faults.push(`counts attempt ${attempt}, but its ledger ${read.attempts}`);
  }
  if (acknowledged !== deliveries.every((it) => it.state === "acknowledged")) {
    faults.push(`says acknowledged: ${acknowledged}, against its deliveries`);
  }
  return faults;
}

function readLedger(entries: readonly LedgerEntry[], crashes: boolean) {
  const faults: string[] = [];
  let step: Step | undefined;
  let attempts = 0;
  for (const { event } of entries) {
    const { from, to } = grammar[event];
    const first = step === undefined && from.length === 0;
    const again = crashes && step === "leased" && from.includes("ready");
    if (!first && !again && !(step && from.includes(step))) faults.push(`${event} after ${step ?? "nothing"}`);
    if (event === "leased") attempts += 1;
    if (event === "redriven") attempts = 0;
    step = to ?? step;
  }
  return { faults, step, attempts };
}
