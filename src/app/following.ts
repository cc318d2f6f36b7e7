import { BusError } from "../contract/errors.ts";
import type { BusEvent } from "../contract/events.ts";
import type { AgentId } from "../contract/messages.ts";
import { eventCursor, eventPosition } from "./cursors.ts";
import { readsAs } from "./guard.ts";
import type { Following, Mailroom } from "./mailroom.ts";
import type { Office } from "./office.ts";
import type { StoredEvent } from "./ports.ts";

const page = 500;

/** Pulls events from the log at the reader's pace: catching up and keeping up are the same loop. */
export function followEvents({ store }: Office): Mailroom["follow"] {
  return async ({ after }, push, call) => {
    let position = after === undefined ? await store.events.head() : eventPosition(after);
    await requireNoGap(position);
    const cursor = eventCursor(position);
    let open = true;
    let wake: () => void = () => undefined;
    const stopListening = store.events.onEvents(() => wake());

    /** Pushes the next page, or waits for one where there is none. */
    const step = async (): Promise<void> => {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const { events, gap } = await store.events.events(position, page);
      if (gap) throw forgotten();
      const last = events.at(-1);
      if (!last) return changed;
      const visible = await visibleEvents(events, readsAs(call));
      if (visible.length > 0) await push(visible.map(present));
      position = last.position;
    };
    const run = async () => {
      while (open) await step();
    };
    const ended = run().finally(stopListening);
    // Whoever follows hears of it through `ended`; unheard it must not bring the process down.
    ended.catch(() => undefined);

    const following: Following = {
      cursor,
      ended,
      async [Symbol.asyncDispose]() {
        open = false;
        wake();
      },
    };
    return following;
  };

  /** Whoever may read one agent's mail alone hears of that, of conversations that agent takes part in, and of the fleet. */
  async function visibleEvents(
    events: readonly StoredEvent[],
    only: AgentId | undefined,
  ): Promise<readonly StoredEvent[]> {
    if (only === undefined) return events;
    const seen: StoredEvent[] = [];
    for (const event of events) if (await concerns(event, only)) seen.push(event);
    return seen;
  }

  async function concerns(
    { message_id, conversation_id, agent_id, from_agent }: StoredEvent,
    only: AgentId,
  ): Promise<boolean> {
    if (agent_id === only || from_agent === only) return true;
    if (message_id !== undefined) return false;
    if (conversation_id === undefined) return true;
    const conversation = await store.conversations.conversation(conversation_id);
    return conversation?.participants.includes(only) === true;
  }

  async function requireNoGap(position: number): Promise<void> {
    const [{ gap }, head] = [await store.events.events(position, 1), await store.events.head()];
    if (position > head) {
      throw new BusError("invalid_cursor", "this cursor lies after the latest event; it comes from another hive");
    }
    if (gap) throw forgotten();
  }
}

function forgotten(): BusError {
  return new BusError(
    "cursor_expired",
    "events after this cursor have been forgotten (retention); follow without a cursor and read the state anew",
  );
}

function present({ position, from_agent: _, ...event }: StoredEvent): BusEvent {
  return { cursor: eventCursor(position), ...event };
}
