import type { AgentId } from "../../contract/messages.ts";
import type {
  AcknowledgeStep,
  Batch,
  BatchAnswer,
  DeliveryWrite,
  LedgerStep,
  PackedAnswer,
  PackedBatch,
  RequestResult,
  Step,
  WirePublication,
  WriterOperations,
  WriterRequest,
} from "./protocol.ts";

/*
 * Batches as one long array of plain values, and back. What passes between threads is copied value by value, and an object
 * takes the name of each of its fields along: for a message that is sent, claimed and acknowledged, objects cost 15
 * microseconds on the two sides, this costs 2 (measured 2026-11). So the requests that come with every message are packed;
 * all others go as they are.
 */

export function packBatch({ epoch, requests }: Batch): PackedBatch {
  const values: unknown[] = [];
  for (const request of requests) {
    values.push(request.operation);
    if (request.operation === "publish") packPublish(values, request);
    else if (request.operation === "acknowledge") packAcknowledge(values, request);
    else if (request.operation === "steps") packSteps(values, request.steps);
    else values.push(request);
  }
  return { epoch, values };
}

export function unpackBatch({ epoch, values }: PackedBatch): Batch {
  const take = taker(values);
  const requests: WriterRequest[] = [];
  while (take.isMore()) {
    const operation = take.next<WriterRequest["operation"]>();
    if (operation === "publish") requests.push({ operation, ...takePublish(take) });
    else if (operation === "acknowledge") requests.push({ operation, ...takeAcknowledge(take) });
    else if (operation === "steps") requests.push({ operation, steps: take.list(takeStep) });
    else requests.push(take.next<WriterRequest>());
  }
  return { epoch, requests };
}

/** What is simply accepted, and what has no result, without objects; every other result as it is. */
export function packAnswer(answer: BatchAnswer): PackedAnswer {
  if (!answer.done) return answer;
  const values: unknown[] = [];
  for (const result of answer.results) packResult(values, result);
  return { ...answer, results: values };
}

function packResult(values: unknown[], result: RequestResult): void {
  if (!("value" in result)) values.push(result);
  else if (result.value === undefined) values.push(nothing);
  else if (isAcceptedOnly(result.value)) packAccepted(values, result.value);
  else values.push(result);
}

function packAccepted(values: unknown[], accepted: readonly Accepted[]): void {
  values.push(accepted.length);
  for (const { position, conversation_id } of accepted) values.push(position, conversation_id);
}

export function unpackAnswer(answer: PackedAnswer): BatchAnswer {
  if (!answer.done) return answer;
  const take = taker(answer.results);
  const results: RequestResult[] = [];
  while (take.isMore()) {
    const first = take.next<number | typeof nothing | RequestResult>();
    if (first === nothing) results.push({ value: undefined });
    else if (typeof first === "number") results.push({ value: take.times(first, takeAccepted) });
    else results.push(first);
  }
  return { ...answer, results };
}

const nothing = null;

type Accepted = Extract<WriterOperations["publish"]["result"][number], { readonly outcome: "accepted" }>;

function isAcceptedOnly(value: unknown): value is readonly Accepted[] {
  const isAccepted = (it: Partial<Accepted>) => it.outcome === "accepted" && it.standing === undefined;
  return Array.isArray(value) && value.length > 0 && value.every(isAccepted);
}

function takeAccepted(take: Taker): Accepted {
  return { outcome: "accepted", position: take.next(), conversation_id: take.next() };
}

function packPublish(
  values: unknown[],
  { now_ms, steady_ms, publications }: WriterOperations["publish"]["request"],
): void {
  values.push(now_ms, steady_ms, publications.length);
  for (const it of publications) {
    values.push(it.id, it.fresh_id, it.from_agent, it.to_agent, it.to, it.recipients.length, ...it.recipients);
    values.push(it.participants.length, ...it.participants, it.content, it.priority, it.message_type, it.metadata);
    values.push(it.when, it.offline, it.reply_to, it.conversation_id, it.fresh_conversation_id, it.deliver_at_ms);
    values.push(it.expires_at_ms, it.idempotency_key, it.actor, it.as_participant, it.notice);
    values.push(it.rerouted, it.sealed, it.provenance);
  }
}

function takePublish(take: Taker): WriterOperations["publish"]["request"] {
  return { now_ms: take.next(), steady_ms: take.next(), publications: take.list(takePublication) };
}

/** With every field, so that the compiler notices one that was added and is not packed. */
type Complete<T> = { readonly [Name in keyof Required<T>]: T[Name] };

/** In the order in which `packPublish` puts them. */
function takePublication(take: Taker): Complete<WirePublication> {
  return {
    id: take.next(),
    fresh_id: take.next(),
    from_agent: take.next(),
    to_agent: take.next(),
    to: take.next(),
    recipients: take.list<AgentId>(takeNext),
    participants: take.list<AgentId>(takeNext),
    content: take.next(),
    priority: take.next(),
    message_type: take.next(),
    metadata: take.next(),
    when: take.next(),
    offline: take.next(),
    reply_to: take.next(),
    conversation_id: take.next(),
    fresh_conversation_id: take.next(),
    deliver_at_ms: take.next(),
    expires_at_ms: take.next(),
    idempotency_key: take.next(),
    actor: take.next(),
    as_participant: take.next(),
    notice: take.next(),
    rerouted: take.next(),
    sealed: take.next(),
    provenance: take.next(),
  };
}

function packAcknowledge(values: unknown[], { at_ms, actor, steps }: WriterOperations["acknowledge"]["request"]): void {
  values.push(at_ms, actor, steps.length);
  for (const it of steps) values.push(it.position, it.recipient, it.agent_id, it.attempt, it.lease_id);
}

function takeAcknowledge(take: Taker): WriterOperations["acknowledge"]["request"] {
  return { at_ms: take.next(), actor: take.next(), steps: take.list(takeAcknowledgeStep) };
}

function takeAcknowledgeStep(take: Taker): AcknowledgeStep {
  return {
    position: take.next(),
    recipient: take.next(),
    agent_id: take.next(),
    attempt: take.next(),
    lease_id: take.next(),
  };
}

function packSteps(values: unknown[], steps: readonly Step[]): void {
  values.push(steps.length);
  for (const { ledger, delivery } of steps) {
    values.push(ledger.length);
    for (const it of ledger) values.push(it.event, it.at_ms, it.position, it.agent_id, it.actor, it.reason);
    values.push(delivery);
  }
}

function takeStep(take: Taker): Step {
  const ledger = take.list(takeLedgerStep);
  const delivery = take.next<DeliveryWrite | undefined>();
  return delivery ? { ledger, delivery } : { ledger };
}

function takeLedgerStep(take: Taker): LedgerStep {
  return {
    event: take.next(),
    at_ms: take.next(),
    position: take.next(),
    agent_id: take.next(),
    actor: take.next(),
    reason: take.next(),
  };
}

function takeNext<T>(take: Taker): T {
  return take.next();
}

type Taker = {
  isMore(): boolean;
  /** The next value; only whoever packed it can know what it is. */
  next<T>(): T;
  times<T>(count: number, one: (take: Taker) => T): T[];
  /** As many as the next value says. */
  list<T>(one: (take: Taker) => T): T[];
};

function taker(values: readonly unknown[]): Taker {
  let at = 0;
  const take: Taker = {
    isMore: () => at < values.length,
    next: <T>() => values[at++] as T,
    times<T>(count: number, one: (take: Taker) => T) {
      const list: T[] = [];
      for (let i = 0; i < count; i++) list.push(one(take));
      return list;
    },
    list: (one) => take.times(take.next<number>(), one),
  };
  return take;
}
