import type { ConversationStore } from "../../app/ports.ts";
import type { StoreContext } from "./context.ts";

export function conversationStore({ queue, clock, lookups, reader }: StoreContext): ConversationStore {
  /** Lets the writer write down the latest activity, which it does late. */
  const flush = () => queue.submit({ operation: "flush" }, { apply: () => undefined });
  return {
    open: ({ id, participants, sealed, actor }) =>
      queue.submit(
        { operation: "open_conversation", now_ms: clock.now(), id, participants, sealed, actor },
        { apply: (conversation) => conversation },
      ),

    async conversation(id) {
      await flush();
      return lookups.conversation(id);
    },

    async conversations(query) {
      await flush();
      return reader.ask("conversations", query);
    },

    changeStatus: (id, status, actor) =>
      queue.submit(
        { operation: "change_status", now_ms: clock.now(), id, status, actor },
        { apply: (conversation) => conversation },
      ),
  };
}
