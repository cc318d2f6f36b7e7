import type { HistoryStore, Search } from "../../app/ports.ts";
import { type DeliveryState, type Priority, priorities } from "../../contract/messages.ts";
import type { InboxCounts } from "../../core/messaging/inbox.ts";
import type { StoreContext } from "./context.ts";
import { type InboxState, type OpenDelivery, type OpenState, openStateIndex, openStates } from "./open-delivery.ts";
import { sizeOf, toWire } from "./publish.ts";
import { createStandings } from "./standings.ts";

export function historyStore(context: StoreContext): HistoryStore {
  const { engine, clock, policy, lookups, queue, reader, indexer } = context;
  const { statuses } = createStandings(context);
  return {
    async message(id) {
      // The ledger is read from the disk, so what has happened must have got there.
      await queue.barrier();
      const found = lookups.find(id);
      if (!found) return undefined;
      const { position, message } = found;
      return { ...message, deliveries: statuses(id, position), ledger: [...lookups.ledger(position)] };
    },

    async firstSent({ id, from_agent, idempotency_key }) {
      await queue.barrier();
      const byKey = idempotency_key === undefined ? undefined : lookups.byKey(from_agent, idempotency_key);
      if (byKey && clock.now() - Date.parse(byKey.timestamp) <= policy.idempotency_ms) return byKey;
      return lookups.find(id)?.message;
    },

    async search(search) {
      if (search.state === "dead") await queue.barrier();
      const positions = positionsInState(context, search);
      return reader.ask("search", { search, ...(positions && { positions }) });
    },

    inbox: async (agent_id) => countInbox(engine.inboxes.get(agent_id), clock),

    async deadLetters(query) {
      await queue.barrier();
      return reader.ask("dead_letters", query);
    },

    async import(messages) {
      if (messages.length === 0) return [];
      return queue.submit(
        { operation: "import", now_ms: clock.now(), messages: messages.map(toWire) },
        {
          size: { operations: messages.length, bytes: messages.reduce((sum, it) => sum + sizeOf(it), 0) },
          apply(results) {
            indexer.entered(results.filter((it) => it).length);
            return results;
          },
        },
      );
    },

    prune: (before_ms, limit) =>
      queue.submit(
        { operation: "prune", now_ms: clock.now(), before_ms, limit },
        {
          size: { operations: limit, bytes: 0 },
          apply({ messages, dead }) {
            for (const [agent_id, letters] of dead) engine.inbox(agent_id).dead -= letters;
            if (messages > 0) indexer.forgotten(messages);
            return messages;
          },
        },
      ),
  };
}

/** Where the messages stand that have a delivery in the state asked for, if memory knows that; ascending, none twice. */
function positionsInState({ engine }: StoreContext, { state }: Search): Float64Array | undefined {
  if (!state || openStateIndex(state) < 0) return undefined;
  const found: number[] = [];
  for (const { open, depth } of engine.inboxes.values()) {
    if (!hasAny(depth, state)) continue;
    for (const delivery of open.values()) if (delivery.state === state) found.push(delivery.position);
  }
  return new Float64Array(found).sort().filter((it, index, sorted) => it !== sorted[index - 1]);
}

function hasAny(depth: readonly number[], state: DeliveryState): boolean {
  return depth.some((count, index) => count > 0 && index % openStates.length === openStateIndex(state));
}

const emptyDepth = { ready: 0, scheduled: 0, leased: 0, held: 0 };

function countInbox(inbox: InboxState | undefined, clock: { now(): number; elapsed(): number }): InboxCounts {
  const undelivered = inbox ? [...inbox.open.values()].filter(isOpen) : [];
  const [now, elapsed] = [clock.now(), clock.elapsed()];
  const leased = undelivered.filter((it) => it.state === "leased");
  return {
    depth: depthOf(inbox),
    dead: inbox?.dead ?? 0,
    oldest_age_ms: greatest(undelivered.map((it) => Math.max(0, now - it.accepted_ms))),
    next_available_in_ms: least(
      undelivered
        .filter((it) => it.state === "scheduled")
        .map((it) => Math.max(0, it.not_before_ms - now, it.delay_ends_ms - elapsed)),
    ),
    next_lease_expires_in_ms: least(leased.map((it) => Math.max(0, it.lease_ends_ms - elapsed))),
    open_leases: leased.length,
  };
}

function isOpen({ state }: OpenDelivery): boolean {
  return state !== "dead" && state !== "acknowledged";
}

function depthOf(inbox: InboxState | undefined): InboxCounts["depth"] {
  const ofPriority = (rank: number): Record<OpenState, number> => {
    if (!inbox) return emptyDepth;
    const [ready = 0, scheduled = 0, leased = 0, held = 0] = inbox.depth.slice(rank * 4, rank * 4 + 4);
    return { ready, scheduled, leased, held };
  };
  // fromEntries forgets which keys it was given: here, every priority.
  return Object.fromEntries(priorities.map((it: Priority, rank) => [it, ofPriority(rank)])) as InboxCounts["depth"];
}

function least(numbers: readonly number[]): number | undefined {
  return numbers.length === 0 ? undefined : numbers.reduce((a, b) => Math.min(a, b));
}

function greatest(numbers: readonly number[]): number | undefined {
  return numbers.length === 0 ? undefined : numbers.reduce((a, b) => Math.max(a, b));
}
