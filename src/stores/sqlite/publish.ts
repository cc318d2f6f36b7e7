import type { Publication, PublishOutcome } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import { type ConversationId, type Message, moments } from "../../contract/messages.ts";
import { rankOf } from "../../core/messaging/order.ts";
import type { StoreContext } from "./context.ts";
import type { OpenDelivery } from "./open-delivery.ts";
import type { FirstStanding, TextFields, WrittenPublication } from "./protocol.ts";
import { provenanceColumn, sealedSize, toMessage } from "./rows.ts";

/**
 * Hands publications to the writer, which decides about each in its transaction (so depth, duplicates and conversations
 * are judged in the very order in which messages enter), and puts what was accepted where it can be claimed, once it is on
 * the disk.
 */
export async function publish(
  context: StoreContext,
  publications: readonly Publication[],
): Promise<readonly PublishOutcome[]> {
  if (publications.length === 0) return [];
  const now_ms = context.clock.now();
  const wire = publications.map(toWire);
  return context.queue.submit(
    { operation: "publish", now_ms, steady_ms: context.clock.steady(), publications: wire },
    {
      size: { operations: publications.length, bytes: publications.reduce((sum, it) => sum + sizeOf(it), 0) },
      apply: (written) =>
        publications.map((publication, index) => {
          const one = written[index];
          return one
            ? settle(context, publication, one, now_ms)
            : { outcome: "reply_to_not_found", message_id: publication.id };
        }),
    },
  );
}

/** Text is made here, on the main thread, and not in a transaction. */
export function toWire<P extends Publication>(publication: P): Omit<P, keyof TextFields> & TextFields {
  const { metadata, provenance, sealed, from_agent } = publication;
  return {
    ...publication,
    metadata: JSON.stringify(metadata),
    provenance: provenanceColumn(provenance, from_agent),
    sealed: sealed && JSON.stringify(sealed),
  };
}

export function sizeOf({ content, sealed, recipients }: Publication): number {
  return content.length + (sealed ? sealedSize(sealed) : 0) + 512 + recipients.length * 256;
}

function settle(
  context: StoreContext,
  publication: Publication,
  written: WrittenPublication,
  now_ms: number,
): PublishOutcome {
  if (written.outcome === "duplicate")
    return { outcome: "duplicate", message: toMessage(context.vault, written.first) };
  if (written.outcome !== "accepted") return written;
  const { position, conversation_id, standing } = written;
  const message = messageOf(publication, conversation_id, now_ms);
  for (const [recipient, agent_id] of publication.recipients.entries()) {
    const place = { position, recipient, inbox: context.engine.inbox(agent_id) };
    context.engine.enter(newDelivery(context, publication, { ...place, now_ms, message, standing }));
  }
  context.counts.accepted += 1;
  context.indexer.entered(1);
  return { outcome: "accepted", message, ready: standing ? [] : publication.recipients };
}

function messageOf(publication: Publication, conversation_id: ConversationId, now_ms: number): Message {
  const message = {
    id: publication.id,
    from_agent: publication.from_agent,
    to_agent: publication.to_agent,
    content: publication.content,
    priority: publication.priority,
    timestamp: toTimestamp(now_ms),
    acknowledged: false,
    conversation_id,
    message_type: publication.message_type,
    metadata: publication.metadata,
    when: publication.when,
    offline: publication.offline,
    provenance: publication.provenance,
  };
  const { to, reply_to, deliver_at_ms, expires_at_ms, sealed } = publication;
  if ((to ?? reply_to ?? deliver_at_ms ?? expires_at_ms ?? sealed) === undefined) return message;
  const deliver_at = deliver_at_ms === undefined ? undefined : toTimestamp(deliver_at_ms);
  const expires_at = expires_at_ms === undefined ? undefined : toTimestamp(expires_at_ms);
  return { ...message, ...defined({ to, reply_to, deliver_at, expires_at, sealed }) };
}

function newDelivery(
  { clock, engine }: StoreContext,
  publication: Publication,
  about: {
    readonly position: number;
    readonly recipient: number;
    readonly inbox: OpenDelivery["inbox"];
    readonly now_ms: number;
    readonly message: Message;
    readonly standing: FirstStanding | undefined;
  },
): OpenDelivery {
  const { position, recipient, inbox, now_ms, message, standing } = about;
  const scheduled = standing?.state === "scheduled" ? standing : undefined;
  const { delay_until_ms } = scheduled ?? {};
  return {
    position,
    recipient,
    inbox,
    message_id: publication.id,
    message_type: publication.message_type,
    rank: rankOf(publication.priority),
    moment: moments.indexOf(publication.when),
    accepted_ms: now_ms,
    readable_ms: scheduled?.available_ms ?? Math.max(now_ms, publication.deliver_at_ms ?? now_ms),
    message: engine.keepBody(message),
    state: standing?.state ?? "ready",
    attempt: 0,
    expires_ms: publication.expires_at_ms ?? Number.POSITIVE_INFINITY,
    reason: standing?.reason,
    available_ms: scheduled?.available_ms ?? 0,
    not_before_ms: scheduled?.not_before_ms ?? Number.NEGATIVE_INFINITY,
    delay_ends_ms: delay_until_ms === undefined ? Number.NEGATIVE_INFINITY : clock.toElapsed(delay_until_ms),
    lease_id: undefined,
    lease_ends_ms: 0,
    lease_expires_ms: 0,
    settling: false,
    aged: false,
    ready_rank: 0,
  };
}
