import { defined } from "../base/defined.ts";
import { invariant } from "../base/invariant.ts";
import { parseTimestamp } from "../base/time.ts";
import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { AgentId, ConversationId, Message, MessageId, NewMessage } from "../contract/messages.ts";
import type { Output } from "../contract/operations.ts";
import { provenanceOfSent } from "../core/access/provenance.ts";
import { participantsOf } from "../core/messaging/addresses.ts";
import { type Payload, saysTheSame } from "../core/messaging/payload.ts";
import { actorOf } from "./agents.ts";
import { actsAs } from "./guard.ts";
import type { Call, Mailroom } from "./mailroom.ts";
import { operator, sendRerouteNotice } from "./notices.ts";
import type { Office } from "./office.ts";
import type { Publication, PublishOutcome, PublishRefusal } from "./ports.ts";
import { findRecipients } from "./recipients.ts";
import { requireReaders, requireSealable } from "./sealing.ts";

type SendOperations = Pick<Mailroom, "sendMessage" | "sendMessages">;
type BatchResult = Output<"sendMessages">["results"][number];

export function sendOperations(office: Office): SendOperations {
  const { deliveries } = office.store;
  return {
    async sendMessage(input, call) {
      const prepared = await prepare(office, input, call);
      if ("sent_before" in prepared) return prepared.sent_before;
      const [outcome] = await deliveries.publish([prepared]);
      return settle(office, prepared, outcome);
    },

    async sendMessages({ messages }, call) {
      const prepared = await Promise.all(messages.map((input) => prepare(office, input, call).catch(asBusError)));
      const publications = prepared.filter((it) => !(it instanceof BusError || "sent_before" in it));
      const outcomes = await deliveries.publish(publications as Publication[]);
      let next = 0;
      const results = prepared.map(async (it): Promise<BatchResult> => {
        if (it instanceof BusError) return toResult(it);
        if ("sent_before" in it) return toResult(it.sent_before);
        return toResult(await settle(office, it, outcomes[next++]).catch(asBusError));
      });
      return { results: await Promise.all(results) };
    },
  };
}

/** A request that could not be sent any more, but says what a message that was accepted earlier says. */
type SentBefore = { readonly sent_before: Message };

/** Everything about a message that can be decided before the store sees it. */
async function prepare(office: Office, input: NewMessage, call: Call): Promise<Publication | SentBefore> {
  requireSealable(input);
  checkText(input);
  const payload = payloadOf(input, await findSender(office, input.from_agent, call));
  try {
    return await toPublication(office, input, payload, call);
  } catch (error) {
    // Meanwhile its time may have passed or its recipient may have gone: a repeated request must not fail for that.
    const sent_before = await findSentBefore(office, input, payload);
    if (sent_before) return { sent_before };
    throw error;
  }
}

/** What the sender says, defaults filled in. */
function payloadOf(input: NewMessage, from_agent: AgentId): Payload {
  const payload = {
    from_agent,
    to_agent: input.to_agent ?? "",
    content: input.content ?? "",
    priority: input.priority ?? "normal",
    message_type: input.message_type ?? "task",
    metadata: input.metadata ?? {},
    when: input.when ?? "turn",
    offline: input.offline ?? "hold",
  } as const;
  const { to, reply_to, conversation_id, deliver_at, expires_at, sealed } = input;
  if ((to ?? reply_to ?? conversation_id ?? deliver_at ?? expires_at ?? sealed) === undefined) return payload;
  const deliver_at_ms = readTime("deliver_at", deliver_at);
  const expires_at_ms = readTime("expires_at", expires_at);
  return { ...payload, ...defined({ to, reply_to, conversation_id, deliver_at_ms, expires_at_ms, sealed }) };
}

async function toPublication(office: Office, input: NewMessage, payload: Payload, call: Call): Promise<Publication> {
  requireFuture(payload, office.clock.now());
  const { recipients, ...address } = await findRecipients(office, input, payload.from_agent, payload.offline);
  if (input.sealed) await requireReaders(office, input.sealed, { ...input, recipients });
  return {
    ...payload,
    ...address,
    ...(input.id ? { id: input.id } : { id: office.newId() as MessageId, fresh_id: true }),
    recipients,
    participants: participantsOf(payload.from_agent, recipients),
    fresh_conversation_id: office.newId() as ConversationId,
    ...(input.idempotency_key && { idempotency_key: input.idempotency_key }),
    actor: actorOf(call),
    provenance: provenanceOfSent(call.caller, payload.from_agent),
    ...(actsAs(call) !== undefined && { as_participant: true }),
  };
}

async function findSentBefore({ store }: Office, input: NewMessage, payload: Payload): Promise<Message | undefined> {
  const { id, idempotency_key } = input;
  if (!id && !idempotency_key) return undefined;
  const { from_agent } = payload;
  // Without an id of its own, only the key can have been used before.
  const sent = { id: id ?? ("" as MessageId), from_agent, ...defined({ idempotency_key }) };
  const first = await store.history.firstSent(sent);
  return first && saysTheSame(first, payload) ? first : undefined;
}

async function findSender({ store }: Office, named: AgentId | undefined, call: Call): Promise<AgentId> {
  const known = named && (await store.fleet.agent(named));
  const sender = known?.agent_id ?? named ?? call.caller.agent_id ?? operator;
  const only = actsAs(call);
  if (only === undefined || sender === only) return sender;
  throw new BusError("forbidden", `this token is ${only}'s; it cannot send as ${sender}`);
}

function requireFuture({ deliver_at_ms, expires_at_ms }: Payload, now: number): void {
  if (expires_at_ms === undefined || expires_at_ms > Math.max(now, deliver_at_ms ?? 0)) return;
  throw new BusError("invalid_input", "expires_at must lie in the future, and after deliver_at");
}

/** @throws BusError `invalid_input` for text that looks like a time but names none, such as 31 February. */
export function readTime(field: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseTimestamp(text);
  if (ms === undefined) throw new BusError("invalid_input", `${field}: ${text} is not a moment that exists`);
  return ms;
}

/** What a JSON schema cannot say: text that no UTF-8 can carry would come out changed. */
export function checkText({ content, metadata }: Pick<NewMessage, "content" | "metadata">): void {
  if (content?.isWellFormed() === false) {
    throw new BusError("invalid_input", "content holds half a surrogate pair, which is no character; send whole ones");
  }
  if (metadata && depthExceeds(metadata, limits.metadata_depth)) {
    throw new BusError("invalid_input", `metadata nests deeper than ${limits.metadata_depth} levels`);
  }
}

function depthExceeds(value: unknown, allowed: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return allowed === 0 || Object.values(value).some((it) => depthExceeds(it, allowed - 1));
}

async function settle(office: Office, sent: Publication, outcome: PublishOutcome | undefined): Promise<Message> {
  if (outcome?.outcome === "accepted") {
    for (const agent_id of outcome.ready) office.announcer.wake(agent_id);
    if (sent.rerouted && sent.recipients[0]) await sendRerouteNotice(office, outcome.message, sent.recipients[0]);
    return outcome.message;
  }
  if (outcome?.outcome === "duplicate") {
    if (saysTheSame(outcome.message, sent)) return outcome.message;
    throw new BusError(
      "idempotency_conflict",
      `this id or idempotency key was used for another message, ${outcome.message.id}; use a new one for a new message`,
    );
  }
  invariant(outcome, "a store answers every publication");
  throw toRefusal(sent, outcome);
}

function toRefusal(sent: Publication, outcome: PublishRefusal): BusError {
  switch (outcome.outcome) {
    case "inbox_full":
      return new BusError(
        "inbox_full",
        `the inbox of ${outcome.agent_id} holds ${outcome.depth} undelivered messages, as many as it may; try again later`,
        { retry_after_ms: 1_000 },
      );
    case "conversation_not_found":
      return new BusError(
        "conversation_not_found",
        `there is no conversation ${outcome.conversation_id}; leave conversation_id out to use or open one`,
      );
    case "conversation_closed":
      return new BusError(
        "conversation_closed",
        `the conversation ${outcome.conversation_id} is closed; reopen it with PATCH /conversations/${outcome.conversation_id} {"status": "active"}`,
      );
    case "sealed_only":
      return sealedOnly(outcome.conversation_id);
    case "reply_to_not_found":
      return new BusError("message_not_found", `reply_to: there is no message ${outcome.message_id}`);
    case "reply_to_elsewhere":
      return new BusError(
        "invalid_input",
        `reply_to belongs to the conversation ${outcome.conversation_id}; leave conversation_id out or name that one`,
      );
    case "id_expired":
      return new BusError(
        "message_id_expired",
        `the id ${sent.id} is older than what is kept (since ${new Date(outcome.kept_since_ms).toISOString()}), so nobody can say whether it was sent; look for its effect, then send with a new id`,
      );
  }
}

export function sealedOnly(conversation_id: ConversationId): BusError {
  return new BusError(
    "sealed_only",
    `the conversation ${conversation_id} takes sealed messages only; seal this one, or leave conversation_id and reply_to out`,
  );
}

function asBusError(error: unknown): BusError {
  if (error instanceof BusError) return error;
  throw error;
}

function toResult(settled: Message | BusError): BatchResult {
  if (!(settled instanceof BusError)) return { ok: true, message: settled };
  return { ok: false, error: { code: settled.code, message: settled.message } };
}
