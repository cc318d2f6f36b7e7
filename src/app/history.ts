import { defined } from "../base/defined.ts";
import { toTimestamp } from "../base/time.ts";
import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { AgentId, ConversationId, MessageId, TracedMessage } from "../contract/messages.ts";
import type { Input } from "../contract/operations.ts";
import { provenanceOfImported } from "../core/access/provenance.ts";
import { participantsOf } from "../core/messaging/addresses.ts";
import { explainInbox, totalDepth } from "../core/messaging/inbox.ts";
import { words } from "../core/messaging/words.ts";
import { actorOf, presentAgent, requireAgent } from "./agents.ts";
import { placeOf } from "./cursors.ts";
import { messageNotFound } from "./deliveries.ts";
import { readsAs } from "./guard.ts";
import type { Call, Mailroom } from "./mailroom.ts";
import { checkText, readTime, sealedOnly } from "./messages.ts";
import type { Office } from "./office.ts";
import type { Import, Search } from "./ports.ts";

type HistoryOperations = Pick<
  Mailroom,
  "getMessage" | "searchMessages" | "importMessages" | "getInbox" | "listDeadLetters"
>;

export function historyOperations(office: Office): HistoryOperations {
  const { history } = office.store;
  return {
    async getMessage({ message_id }, call) {
      const message = await history.message(message_id);
      if (!message || !(await maySee(office, message, call))) throw messageNotFound(message_id);
      return message;
    },

    async searchMessages(input, call) {
      const search = await toSearch(office, input, call);
      const { rows, next } = await history.search(search);
      // To look for the conversation takes a commit, so only where nothing says that there is one.
      if (rows.length === 0 && input.conversation_id)
        await requireConversation(office, input.conversation_id, search.visible_to);
      return { messages: [...rows], ...(next !== undefined && { next_cursor: office.cursors.encode(input, next) }) };
    },

    async importMessages({ messages }, call) {
      for (const message of messages) checkText(message);
      await requireOpenConversations(office, messages);
      const imports = messages.map((it): Import => toImport(office, it, call));
      const added = (await history.import(imports)).filter((it) => it).length;
      return { imported: added, already_present: messages.length - added };
    },

    async getInbox({ agent_id: name }) {
      const agent = presentAgent(office, await requireAgent(office, name));
      const counts = await history.inbox(agent.agent_id);
      const now = office.clock.now();
      return {
        agent_id: agent.agent_id,
        depth: counts.depth,
        total: totalDepth(counts),
        dead: counts.dead,
        limit: office.config.inbox_depth,
        explanation: explainInbox(counts, {
          agent_id: agent.agent_id,
          subscriptions: office.announcer.waiters(agent.agent_id),
          last_seen_ago_ms: agent.last_seen_at === undefined ? undefined : now - Date.parse(agent.last_seen_at),
          open_leases_limit: office.config.open_leases_per_agent,
          inbox_depth: office.config.inbox_depth,
        }),
        ...(counts.oldest_age_ms !== undefined && { oldest_age_ms: Math.round(counts.oldest_age_ms) }),
        ...(counts.next_available_in_ms !== undefined && {
          next_available_at: toTimestamp(now + counts.next_available_in_ms),
        }),
        ...(counts.next_lease_expires_in_ms !== undefined && {
          next_lease_expires_at: toTimestamp(now + counts.next_lease_expires_in_ms),
        }),
      };
    },

    async listDeadLetters(input, call) {
      const named = input.agent_id && (await requireAgent(office, input.agent_id)).agent_id;
      const only = readsAs(call);
      if (only && named && named !== only) {
        throw new BusError("forbidden", `this token is ${only}'s; it cannot see the dead letters of ${named}`);
      }
      const agent_id = named ?? only;
      const after = placeOf(office.cursors, input);
      const { rows, next } = await history.deadLetters({
        limit: input.limit ?? limits.default_page,
        ...(agent_id && { agent_id }),
        ...(after !== undefined && { after }),
      });
      return {
        dead_letters: [...rows],
        ...(next !== undefined && { next_cursor: office.cursors.encode(input, next) }),
      };
    },
  };
}

async function toSearch(office: Office, input: Input<"searchMessages">, call: Call): Promise<Search> {
  const names = await knownNames(office, input);
  if (input.with && !input.participant) {
    throw new BusError("invalid_input", "`with` names the other side of a pair; say `participant` too");
  }
  return {
    ...names,
    ...defined({
      visible_to: await visibleTo(office, input, call),
      conversation_id: input.conversation_id,
      priority: input.priority,
      message_type: input.message_type,
      state: input.state,
      since_ms: readTime("since", input.since),
      until_ms: readTime("until", input.until),
      words: wordsOf(input.q),
      metadata: metadataOf(input),
      after: placeOf(office.cursors, input),
    }),
    order: input.order === "asc" ? "oldest" : "newest",
    limit: input.limit ?? limits.default_page,
  };
}

/** All of a conversation may be read by who takes part in it; else what one sent or got oneself. */
async function visibleTo(office: Office, input: Input<"searchMessages">, call: Call): Promise<AgentId | undefined> {
  const only = readsAs(call);
  if (only === undefined || !input.conversation_id) return only;
  await requireConversation(office, input.conversation_id, only);
  return undefined;
}

async function maySee({ store }: Office, message: TracedMessage, call: Call): Promise<boolean> {
  const only = readsAs(call);
  if (only === undefined || message.from_agent === only) return true;
  if (message.deliveries.some((it) => it.agent_id === only) || message.to_agent === only) return true;
  const conversation = await store.conversations.conversation(message.conversation_id);
  return conversation?.participants.includes(only) === true;
}

function wordsOf(q: string | undefined): string[] | undefined {
  if (q === undefined) return undefined;
  const found = words(q);
  if (found.length > 0) return found;
  throw new BusError(
    "invalid_input",
    `q: ${JSON.stringify(q)} holds no word; words are letters, digits and underscores`,
  );
}

function metadataOf(input: object): Record<string, string> | undefined {
  const prefix = "metadata.";
  const wanted = Object.entries(input).filter(([field]) => field.startsWith(prefix));
  if (wanted.length === 0) return undefined;
  return Object.fromEntries(wanted.map(([field, value]) => [field.slice(prefix.length), String(value)]));
}

const agentFields = ["participant", "with", "from_agent", "to_agent"] as const;

/** Aliases become ids. A name that neither means an agent nor ever wrote or got a message is an error, not an empty page. */
async function knownNames(office: Office, input: Input<"searchMessages">) {
  const names: Partial<Record<(typeof agentFields)[number], AgentId>> = {};
  for (const field of agentFields) {
    const name = input[field];
    if (name) names[field] = await knownName(office, name);
  }
  return names;
}

async function knownName({ store }: Office, name: AgentId): Promise<AgentId> {
  const agent = await store.fleet.agent(name);
  if (agent) return agent.agent_id;
  const { rows } = await store.history.search({ participant: name, order: "newest", limit: 1 });
  if (rows.length > 0) return name;
  throw new BusError("agent_not_found", `no agent is called ${name}, and no message names it`);
}

/** @param only The one agent that must take part in it. @throws BusError `conversation_not_found` */
export async function requireConversation({ store }: Office, id: ConversationId, only: AgentId | undefined) {
  const conversation = await store.conversations.conversation(id);
  if (conversation && (only === undefined || conversation.participants.includes(only))) return conversation;
  throw new BusError("conversation_not_found", `there is no conversation ${id}; GET /conversations lists them`);
}

/** What others have delivered was not sealed, so it goes to no conversation that takes sealed messages only. */
async function requireOpenConversations({ store }: Office, messages: Input<"importMessages">["messages"]) {
  for (const id of new Set(messages.map((it) => it.conversation_id))) {
    if (id && (await store.conversations.conversation(id))?.sealed) throw sealedOnly(id);
  }
}

function toImport(office: Office, message: Input<"importMessages">["messages"][number], call: Call): Import {
  const { from_agent, to_agent } = message;
  const timestamp_ms = readTime("timestamp", message.timestamp) ?? 0;
  return {
    id: message.id ?? (office.newId() as MessageId),
    from_agent,
    to_agent,
    recipients: [to_agent],
    participants: participantsOf(from_agent, [to_agent]),
    content: message.content,
    priority: message.priority ?? "normal",
    message_type: message.message_type ?? "task",
    metadata: message.metadata ?? {},
    when: "turn",
    offline: "hold",
    ...(message.conversation_id && { conversation_id: message.conversation_id }),
    fresh_conversation_id: office.newId() as ConversationId,
    actor: actorOf(call),
    provenance: provenanceOfImported(call.caller),
    timestamp_ms,
  };
}
