import type {
  DeadLetter,
  Delivery,
  DeliveryStatus,
  LedgerEntry,
  Message,
  TracedMessage,
} from "../../contract/messages.ts";
import type { Block } from "./boundary.ts";

/** A message, and what is known of its seal where somebody here has opened it, or tried to. */
type Read = Message & {
  readonly verified?: { readonly fingerprint: string; readonly sealed_at: string };
  readonly unopened?: { readonly code: string; readonly reason: string };
};

/** A message: where it comes from first, then its text; its metadata, which the sender wrote too, beside it. */
export function messageBlocks(message: Read, more: Block["about"] = {}): Block[] {
  const { id, from_agent, to_agent, provenance, metadata, verified } = message;
  const about = {
    id,
    from: from_agent,
    trust: provenance.trust,
    token: provenance.token,
    actor: provenance.actor,
    to: to_agent,
    sent: message.timestamp,
    priority: message.priority,
    type: message.message_type,
    acknowledged: message.acknowledged,
    conversation: message.conversation_id,
    reply_to: message.reply_to,
    deliver_at: message.deliver_at,
    expires_at: message.expires_at,
    sealed: sealedAs(message),
    sealed_by: verified?.fingerprint,
    sealed_at: verified?.sealed_at,
    ...more,
  };
  const beside = (element: string, text: string | undefined): Block[] =>
    text === undefined ? [] : [{ element, about: { of: id }, text }];
  return [
    { element: "message", about, text: message.content },
    ...beside("metadata", Object.keys(metadata).length === 0 ? undefined : JSON.stringify(metadata)),
    ...beside("unreadable", message.unreadable),
    ...beside("unopened", message.unopened?.reason),
  ];
}

function sealedAs({ sealed, verified, unopened }: Read): string | undefined {
  if (verified) return "opened";
  if (unopened) return `unopened:${unopened.code}`;
  return sealed ? "unopened" : undefined;
}

export function deliveryBlocks({ message, lease_id, lease_expires_at, attempt }: Delivery): Block[] {
  return messageBlocks(message, { lease_id, lease_expires_at, attempt });
}

/** The reason may be in the words of whoever rejected it. */
export function deadLetterBlocks({ message, agent_id, attempt, died_at, reason }: DeadLetter): Block[] {
  const why: Block = { element: "reason", about: { of: message.id, agent_id }, text: reason };
  return [...messageBlocks(message, { dead_for: agent_id, died_at, attempt }), why];
}

/** With how each delivery stands and what happened, whose reasons others wrote. */
export function tracedMessageBlocks(message: TracedMessage): Block[] {
  const { id, deliveries, ledger } = message;
  return [
    ...messageBlocks(message),
    { element: "deliveries", about: { of: id }, text: deliveries.map(standingLine).join("\n") },
    { element: "ledger", about: { of: id }, text: ledger.map(ledgerLine).join("\n") },
  ];
}

function standingLine({ state, agent_id, attempt, lease_expires_at, available_at, reason }: DeliveryStatus): string {
  const until = lease_expires_at ?? available_at;
  const when = until === undefined ? "" : `, until ${until}`;
  return `${state} for ${agent_id}, attempts ${attempt}${when}${inQuotes(reason)}`;
}

function ledgerLine({ at, event, actor, agent_id, reason }: LedgerEntry): string {
  const whom = agent_id === undefined ? "" : ` for ${agent_id}`;
  return `${at}  ${event.padEnd(14)} by ${actor}${whom}${inQuotes(reason)}`;
}

function inQuotes(reason: string | undefined): string {
  return reason === undefined ? "" : `: ${JSON.stringify(reason)}`;
}
