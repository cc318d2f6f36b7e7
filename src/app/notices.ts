import type { AgentId, ConversationId, Message, MessageId } from "../contract/messages.ts";
import type { Provenance } from "../contract/provenance.ts";
import { participantsOf } from "../core/messaging/addresses.ts";
import type { Office } from "./office.ts";
import type { Death, Publication } from "./ports.ts";

/** Who the bus itself writes as. */
export const postmaster = "hivepost" as AgentId;

/** Who a caller without an agent of its own writes as, where it names nobody. */
export const operator = "operator" as AgentId;

/** No token brings this about, whatever name it is sent under. */
const provenance: Provenance = { actor: postmaster, token: "system", trust: "hivepost" };

/**
 * Tells each sender that a message was given up, and why. The content is the bus's alone, since readers trust what it says: a recipient
 * that rejects a message could have anything said there. Sending a notice again is harmless: its idempotency key names
 * the death. A sender that is not registered has no inbox to be told in; it finds the message among the dead letters.
 */
export async function sendDeathNotices(office: Office, deaths: readonly Death[]): Promise<void> {
  const notices: Publication[] = [];
  for (const death of deaths) {
    const { message, agent_id, reason, died_at } = death;
    const content =
      `Your message ${message.id} to ${agent_id} was not delivered. It is kept among the dead letters. ` +
      "Why stands in metadata.reason, in part perhaps in the recipient's words.";
    const key = `dead:${message.id}:${agent_id}:${died_at}`;
    const metadata = { notice: "dead_letter", message_id: message.id, agent_id, reason };
    const notice = await noticeTo(office, message, { content, metadata, key });
    if (notice) notices.push(notice);
  }
  await publishNotices(office, notices);
}

/** Tells the sender that its message went to another agent than it named. */
export async function sendRerouteNotice(office: Office, message: Message, agent_id: AgentId): Promise<void> {
  const content = `${message.to_agent} is not there; your message ${message.id} went to ${agent_id} instead.`;
  const metadata = { notice: "rerouted", message_id: message.id, agent_id };
  const notice = await noticeTo(office, message, { content, metadata, key: `rerouted:${message.id}` });
  if (notice) await publishNotices(office, [notice]);
}

/**
 * Sends the notices that a crash may have swallowed, of deaths so recent that the idempotency key of a notice that was
 * sent is still remembered.
 */
export async function resumeNotices(office: Office): Promise<void> {
  const since_ms = office.clock.now() - office.config.idempotency_ms;
  const { rows } = await office.store.history.deadLetters({ limit: 500 });
  await sendDeathNotices(
    office,
    rows.filter((it) => Date.parse(it.died_at) >= since_ms),
  );
}

async function noticeTo(
  office: Office,
  about: Message,
  say: { content: string; metadata: Publication["metadata"]; key: string },
): Promise<Publication | undefined> {
  if (about.from_agent === postmaster || !(await office.store.fleet.agent(about.from_agent))) return undefined;
  return {
    id: office.newId() as MessageId,
    fresh_id: true,
    from_agent: postmaster,
    to_agent: about.from_agent,
    recipients: [about.from_agent],
    participants: participantsOf(postmaster, [about.from_agent]),
    content: say.content,
    priority: "normal",
    message_type: "status",
    metadata: say.metadata,
    when: "turn",
    offline: "hold",
    fresh_conversation_id: office.newId() as ConversationId,
    idempotency_key: say.key,
    actor: postmaster,
    provenance,
    notice: true,
  };
}

async function publishNotices({ store, announcer, log }: Office, notices: readonly Publication[]): Promise<void> {
  if (notices.length === 0) return;
  for (const outcome of await store.deliveries.publish(notices)) {
    if (outcome.outcome === "accepted") for (const agent_id of outcome.ready) announcer.wake(agent_id);
    else if (outcome.outcome !== "duplicate") log.warn({ outcome: outcome.outcome }, "a notice was not accepted");
  }
}
