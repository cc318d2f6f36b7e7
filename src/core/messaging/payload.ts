import { sameJson } from "../../base/json.ts";
import { parseTimestamp } from "../../base/time.ts";
import type { Address, Message } from "../../contract/messages.ts";
import type { Sealed } from "../../contract/sealed.ts";

/** What a sender said, so far as it decides whether a second request with the same id or key says the same. */
export type Payload = Pick<
  Message,
  "from_agent" | "to_agent" | "content" | "priority" | "message_type" | "metadata" | "when" | "offline" | "reply_to"
> & {
  readonly to?: Address;
  readonly conversation_id?: Message["conversation_id"];
  readonly deliver_at_ms?: number;
  readonly expires_at_ms?: number;
  readonly sealed?: Sealed;
};

/**
 * Whether a repeated request says what the first message said. What the bus filled in itself does not count: the
 * conversation where none was named, the agent where a capability was.
 */
export function saysTheSame(first: Message, again: Payload): boolean {
  return (
    first.from_agent === again.from_agent &&
    sameAddress(first, again) &&
    first.content === again.content &&
    first.priority === again.priority &&
    first.message_type === again.message_type &&
    first.when === again.when &&
    first.offline === again.offline &&
    first.reply_to === again.reply_to &&
    (again.conversation_id === undefined || first.conversation_id === again.conversation_id) &&
    msOf(first.deliver_at) === again.deliver_at_ms &&
    msOf(first.expires_at) === again.expires_at_ms &&
    sameJson(first.metadata, again.metadata) &&
    sameJson(first.sealed, again.sealed)
  );
}

function sameAddress(first: Message, again: Payload): boolean {
  if (first.to || again.to) return sameJson(withoutConfirm(first.to), withoutConfirm(again.to));
  return first.to_agent === again.to_agent;
}

function withoutConfirm(address: Address | undefined): unknown {
  return address && "broadcast" in address ? { broadcast: true } : address;
}

function msOf(timestamp: string | undefined): number | undefined {
  return timestamp === undefined ? undefined : parseTimestamp(timestamp);
}
