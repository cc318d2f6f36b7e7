import type { Page, Search, StoredEvent } from "../../app/ports.ts";
import type { Conversation, ConversationStatus } from "../../contract/conversations.ts";
import type { AgentId, ConversationId, DeadLetter, Message, MessageId } from "../../contract/messages.ts";
import type { CipherKeys } from "../../crypto/key-ring.ts";
import type { DeliveryRow } from "./delivery-rows.ts";
import type { WireError } from "./failure.ts";

/** What the reader thread can be asked, and what it answers. */
export type ReaderQuestions = {
  search: {
    question: {
      readonly search: Search;
      /** Where the state asked for is known to memory only: positions of the messages in it, ascending. */
      readonly positions?: Float64Array;
    };
    answer: Page<Message>;
  };
  events: {
    question: { readonly after: number; readonly limit: number };
    answer: { readonly events: readonly StoredEvent[]; readonly gap: boolean };
  };
  dead_letters: {
    question: { readonly agent_id?: AgentId; readonly limit: number; readonly after?: number };
    answer: Page<DeadLetter>;
  };
  dead_deliveries: {
    question: {
      readonly agent_id?: AgentId;
      readonly message_ids?: readonly MessageId[];
      readonly limit: number;
      readonly with_aging: boolean;
    };
    answer: readonly DeliveryRow[];
  };
  /** Not a question: from now on it opens with these. */
  use_keys: { question: CipherKeys; answer: undefined };
  conversations: {
    question: {
      readonly participant?: AgentId;
      readonly status?: ConversationStatus;
      readonly limit: number;
      readonly after?: { readonly last_activity: string; readonly id: ConversationId };
    };
    answer: readonly Conversation[];
  };
};

export type ReaderQuestion = keyof ReaderQuestions;

export type ToReader =
  | { readonly id: number; readonly name: ReaderQuestion; readonly question: unknown }
  | { readonly close: true };
export type FromReader =
  | { readonly ready: true }
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: WireError }
  /** The index cannot be read: whoever owns it should make it anew. */
  | { readonly index_damaged: string }
  | { readonly closed: true };

export type ReaderOptions = { readonly file: string; readonly index_file: string };
