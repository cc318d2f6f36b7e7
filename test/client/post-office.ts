import type { OutboxOptions } from "../../src/client/outbox.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { Message, MessageId, TracedMessage } from "../../src/contract/messages.ts";

type Arrival = {
  readonly id: string;
  readonly from_agent: string;
  readonly to_agent: string;
  readonly content: string;
};

/** The far side of an outbox, as plain as can be: it takes each id once, and fails in whatever way the test wants. */
export function createPostOffice() {
  const arrivals = new Map<string, Arrival>();
  const state = { up: true, losesAnswers: false, full: new Set<string>(), tries: 0 };

  const client = {
    async sendMessage(message: Partial<Arrival>) {
      const { id = "", from_agent = "", to_agent = "", content = "" } = message;
      await new Promise((resolve) => setImmediate(resolve));
      state.tries += 1;
      if (!state.up) throw new BusError("unreachable", "the post office is closed");
      if (to_agent === "nobody") throw new BusError("agent_not_found", "nobody lives here");
      if (!arrivals.has(id)) {
        if (state.full.has(to_agent)) throw new BusError("inbox_full", `${to_agent} has too much mail`);
        arrivals.set(id, { id, from_agent, to_agent, content });
      }
      if (state.losesAnswers) throw new BusError("unreachable", "the answer was lost");
      return arrivals.get(id) as unknown as Message;
    },
    async getMessage({ message_id }: { message_id: string }) {
      if (!state.up) throw new BusError("unreachable", "the post office is closed");
      const found = arrivals.get(message_id as MessageId);
      if (!found) throw new BusError("message_not_found", "no such message");
      return found as unknown as TracedMessage;
    },
  };
  return {
    state,
    /** In the order of their arrival. */
    arrivals: () => [...arrivals.values()],
    // Only what an outbox asks for.
    client: client as unknown as OutboxOptions["client"],
  };
}
