import type { HistoryStore, Page, Search, StoredEvent } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import type { LedgerEntry, LedgerEvent, Message, Priority, TracedMessage } from "../../contract/messages.ts";
import { priorities } from "../../contract/messages.ts";
import type { InboxCounts, OpenState } from "../../core/messaging/inbox.ts";
import { metadataScalars, words } from "../../core/messaging/words.ts";
import { findFirst, importOne, isKeyRemembered } from "./publish.ts";
import {
  allDeliveries,
  inOrderOfPosition,
  inState,
  type MemoryState,
  type StoredDelivery,
  type StoredMessage,
  toMessage,
  toStatus,
} from "./state.ts";

export function historyStore(state: MemoryState): HistoryStore {
  return {
    async message(id) {
      const message = state.messages.get(id);
      return message && trace(state, message);
    },

    async firstSent(sent) {
      const first = findFirst(state, sent);
      return first && toMessage(first);
    },

    async search(search) {
      const found = inOrderOfPosition(state).filter((it) => matches(it, search));
      if (search.order === "newest") found.reverse();
      const { after } = search;
      const beyond = (it: StoredMessage) => after === undefined || isBeyond(it.position, after, search.order);
      return page(found.filter(beyond), search.limit, (it) => it.position, toMessage);
    },

    async inbox(agent_id) {
      return countInbox(
        state,
        allDeliveries(state).filter((it) => it.agent_id === agent_id),
      );
    },

    async deadLetters({ agent_id, limit, after }) {
      const dead = inState(allDeliveries(state), "dead")
        .filter((it) => agent_id === undefined || it.agent_id === agent_id)
        .filter((it) => after === undefined || it.standing.position < after)
        .sort((a, b) => b.standing.position - a.standing.position);
      return page(
        dead,
        limit,
        (it) => it.standing.position,
        ({ message, agent_id, attempt, standing: { reason, died_at } }) => ({
          message: toMessage(message),
          agent_id,
          attempt,
          reason,
          died_at,
        }),
      );
    },

    import: async (messages) => messages.map((it) => importOne(state, it)),
    prune: async (before_ms, limit) => prune(state, before_ms, limit),
  };
}

function page<Found, Row>(
  found: readonly Found[],
  limit: number,
  positionOf: (it: Found) => number,
  toRow: (it: Found) => Row,
): Page<Row> {
  const rows = found.slice(0, limit).map(toRow);
  const last = found[limit - 1];
  return found.length > limit && last ? { rows, next: positionOf(last) } : { rows };
}

function trace(state: MemoryState, message: StoredMessage): TracedMessage {
  const steps = state.events.filter((it) => it.message_id === message.said.id);
  return {
    ...toMessage(message),
    deliveries: message.deliveries.map(toStatus),
    ledger: steps.map(toLedgerEntry),
  };
}

function toLedgerEntry({ at, event, actor, reason, agent_id }: StoredEvent): LedgerEntry {
  // What names a message is a step of one of its deliveries.
  return defined({ at, event: event as LedgerEvent, actor, reason, agent_id });
}

function isBeyond(position: number, after: number, order: Search["order"]): boolean {
  return order === "newest" ? position < after : position > after;
}

type Condition = (message: Message, stored: StoredMessage) => boolean;

function matches(stored: StoredMessage, search: Search): boolean {
  const message = toMessage(stored);
  return conditionsOf(search).every((holds) => holds(message, stored));
}

function conditionsOf(search: Search): Condition[] {
  const { from_agent, to_agent, conversation_id, priority, message_type, state, since_ms, until_ms } = search;
  const conditions: (Condition | false | undefined)[] = [
    from_agent && ((it) => it.from_agent === from_agent),
    to_agent && ((_, it) => isTo(it, to_agent)),
    conversation_id && ((it) => it.conversation_id === conversation_id),
    priority && ((it) => it.priority === priority),
    message_type && ((it) => it.message_type === message_type),
    state && ((_, it) => inState(it.deliveries, state).length > 0),
    since_ms !== undefined && ((_, it) => it.accepted_ms >= since_ms),
    until_ms !== undefined && ((_, it) => it.accepted_ms < until_ms),
    betweenCondition(search),
    search.visible_to && betweenCondition({ participant: search.visible_to }),
    (it) => (search.words ?? []).every((word) => words(it.content).includes(word)),
    (it) => Object.entries(search.metadata ?? {}).every(([path, value]) => holdsScalar(it, path, value)),
  ];
  return conditions.filter((it) => typeof it === "function");
}

function betweenCondition({ participant, with: other }: Pick<Search, "participant" | "with">): Condition | undefined {
  if (participant && other) {
    return (message, stored) =>
      (message.from_agent === participant && isTo(stored, other)) ||
      (message.from_agent === other && isTo(stored, participant));
  }
  const one = participant ?? other;
  return one && ((message, stored) => message.from_agent === one || isTo(stored, one));
}

function isTo({ said, deliveries }: StoredMessage, agent_id: string): boolean {
  return said.to_agent === agent_id || deliveries.some((it) => it.agent_id === agent_id);
}

function holdsScalar({ metadata }: Message, path: string, value: string): boolean {
  return metadataScalars(metadata).some(([at, scalar]) => at === path && scalar === value);
}

function countInbox(state: MemoryState, own: readonly StoredDelivery[]): InboxCounts {
  const now = state.clock.now();
  const elapsed = state.clock.elapsed();
  const undelivered = inState(own, "ready", "scheduled", "leased", "held");
  const count = (priority: Priority, open: OpenState) =>
    inState(undelivered, open).filter((it) => it.message.said.priority === priority).length;
  const depth = Object.fromEntries(
    priorities.map((priority) => [
      priority,
      {
        ready: count(priority, "ready"),
        scheduled: count(priority, "scheduled"),
        leased: count(priority, "leased"),
        held: count(priority, "held"),
      },
    ]),
  ) as InboxCounts["depth"]; // fromEntries forgets which keys it was given: here, every priority.
  const leases = inState(own, "leased");
  return {
    depth,
    dead: inState(own, "dead").length,
    oldest_age_ms: greatest(undelivered.map((it) => Math.max(0, now - it.message.accepted_ms))),
    next_available_in_ms: least(
      inState(own, "scheduled").map(({ standing }) =>
        Math.max(0, standing.not_before_wall_ms - now, standing.not_before_elapsed_ms - elapsed),
      ),
    ),
    next_lease_expires_in_ms: least(leases.map((it) => Math.max(0, it.standing.ends_elapsed_ms - elapsed))),
    open_leases: leases.length,
  };
}

function least(numbers: readonly number[]): number | undefined {
  return numbers.length === 0 ? undefined : Math.min(...numbers);
}

function greatest(numbers: readonly number[]): number | undefined {
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}

function prune(state: MemoryState, before_ms: number, limit: number): number {
  state.kept_since_ms = Math.max(before_ms, state.kept_since_ms ?? before_ms);
  const younger = new Set(state.events.filter((it) => Date.parse(it.at) >= before_ms).map((it) => it.message_id));
  const forgotten = inOrderOfPosition(state)
    .filter((it) => it.accepted_ms < before_ms && !isKeyRemembered(state, it) && !younger.has(it.said.id))
    .filter((it) => inState(it.deliveries, "acknowledged", "dead").length === it.deliveries.length)
    .slice(0, limit);
  for (const message of forgotten) {
    state.messages.delete(message.said.id);
    state.positions.delete(message.position);
    for (const [key, holder] of state.keys) if (holder === message) state.keys.delete(key);
  }
  forgetEvents(state, before_ms);
  return forgotten.length;
}

/** Forgets what is older, but for the ledgers of messages that are kept: `why` must explain those from the start. */
function forgetEvents(state: MemoryState, before_ms: number): void {
  const isForgotten = ({ at, message_id }: StoredEvent) =>
    message_id ? !state.messages.has(message_id) : Date.parse(at) < before_ms;
  const last = state.events.findLast(isForgotten);
  state.events = state.events.filter((it) => !isForgotten(it));
  state.forgotten_event_position = Math.max(state.forgotten_event_position, last?.position ?? 0);
}
