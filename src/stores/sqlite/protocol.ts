import type { Import, Publication, PublishOutcome, Reencrypted, StoredToken } from "../../app/ports.ts";
import type { AgentRegistration } from "../../contract/agents.ts";
import type { Conversation, ConversationStatus } from "../../contract/conversations.ts";
import type { EventName } from "../../contract/events.ts";
import type { AgentId, ConversationId, DeliveryState, LeaseId } from "../../contract/messages.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";
import type { CipherKeys, WrappedKey } from "../../crypto/key-ring.ts";
import type { WireError } from "./failure.ts";
import type { MessageRow } from "./rows.ts";

/*
 * What the main thread and the writer thread say to each other. Everything is plain data: it is copied on the way, batches
 * in the form that `packing.ts` gives them.
 */

/** A publication of which some fields are text already: JSON is made on the main thread, never within a transaction. */
export type WirePublication = Omit<Publication, keyof TextFields | "sealed" | OptionalField> & {
  readonly [Name in OptionalField]?: Publication[Name] | undefined;
} & TextFields;
/** As their columns hold them. */
export type TextFields = {
  readonly metadata: string;
  readonly provenance: string;
  readonly sealed?: string | undefined;
};
type OptionalField =
  | "fresh_id"
  | "to"
  | "reply_to"
  | "conversation_id"
  | "deliver_at_ms"
  | "expires_at_ms"
  | "idempotency_key"
  | "as_participant"
  | "notice"
  | "rerouted";
export type WireImport = WirePublication & Pick<Import, Exclude<keyof Import, keyof Publication>>;

export type LedgerStep = {
  readonly event: EventName;
  readonly at_ms: number;
  readonly position: number;
  readonly agent_id: AgentId;
  readonly actor: string;
  readonly reason?: string | undefined;
};

/** How a delivery stands from now on; the state that the disk knows, so never `leased`. */
export type DeliveryWrite = {
  readonly position: number;
  readonly recipient: number;
  readonly agent_id: AgentId;
  readonly state: Exclude<DeliveryState, "leased">;
  readonly attempt: number;
  readonly expires_ms?: number;
  readonly available_ms?: number;
  readonly not_before_ms?: number;
  readonly delay_until_ms?: number;
  readonly reason?: string;
  /** What this does to the number of undelivered messages in the inbox. */
  readonly depth_change: -1 | 0 | 1;
};

/** Something that happened to a delivery: its ledger, and how it stands after, where that changed. */
export type Step = { readonly ledger: readonly LedgerStep[]; readonly delivery?: DeliveryWrite };

export type AcknowledgeStep = {
  readonly position: number;
  readonly recipient: number;
  readonly agent_id: AgentId;
  readonly attempt: number;
  readonly lease_id: LeaseId;
};

/** What the writer can be asked, and what it answers. */
export type WriterOperations = {
  publish: {
    request: { readonly now_ms: number; readonly steady_ms: number; readonly publications: readonly WirePublication[] };
    result: readonly WrittenPublication[];
  };
  import: {
    request: { readonly now_ms: number; readonly messages: readonly WireImport[] };
    result: readonly boolean[];
  };
  acknowledge: {
    request: { readonly at_ms: number; readonly actor: string; readonly steps: readonly AcknowledgeStep[] };
    result: undefined;
  };
  /** Answers, per step, whether its delivery was still there. */
  steps: { request: { readonly steps: readonly Step[] }; result: readonly boolean[] };
  open_conversation: {
    request: {
      readonly now_ms: number;
      readonly id: ConversationId;
      readonly participants: readonly AgentId[];
      readonly sealed?: true | undefined;
      readonly actor: string;
    };
    result: Conversation;
  };
  change_status: {
    request: {
      readonly now_ms: number;
      readonly id: ConversationId;
      readonly status: ConversationStatus;
      readonly actor: string;
    };
    result: Conversation | undefined;
  };
  put_agent: {
    request: {
      readonly now_ms: number;
      readonly registered_at: string;
      readonly registration: AgentRegistration;
      readonly actor: string;
      /** Where its keys are others than before: what the event says. */
      readonly keys_change?: { readonly reason?: string };
    };
    result: undefined;
  };
  remove_agent: {
    request: { readonly now_ms: number; readonly agent_id: AgentId; readonly actor: string };
    result: undefined;
  };
  /** A new token, or how a known one stands now. */
  put_token: { request: { readonly token: StoredToken }; result: undefined };
  prune: {
    request: { readonly now_ms: number; readonly before_ms: number; readonly limit: number };
    /** `dead`: of how many dead letters in whose inbox nothing is left. */
    result: { readonly messages: number; readonly dead: readonly (readonly [agent_id: AgentId, letters: number])[] };
  };
  /** False, and nothing is added, where a purpose has a key of that epoch already. */
  add_keys: { request: { readonly keys: readonly WrappedKey[] }; result: boolean };
  replace_keys: { request: { readonly keys: readonly WrappedKey[] }; result: undefined };
  /** From now on seals under the newest of these. */
  use_keys: { request: { readonly keys: CipherKeys }; result: undefined };
  reencrypt: { request: { readonly limit: number }; result: Reencrypted };
  keep_audit_head: { request: { readonly head: string }; result: undefined };
  /** Nothing; its answer says that everything before it has been written. */
  barrier: { request: Record<never, never>; result: undefined };
  /** Writes down what is written late, so that readers see it. */
  flush: { request: Record<never, never>; result: undefined };
};

export type WriterOperation = keyof WriterOperations;
export type WriterRequest = {
  [Name in WriterOperation]: { readonly operation: Name } & WriterOperations[Name]["request"];
}[WriterOperation];
export type WriterResult<Name extends WriterOperation = WriterOperation> = WriterOperations[Name]["result"];

/** How the deliveries of an accepted message begin, where that is not simply `ready`. */
export type FirstStanding =
  | { readonly state: "held"; readonly reason: string }
  | {
      readonly state: "scheduled";
      readonly reason: string;
      readonly available_ms: number;
      readonly not_before_ms?: number;
      readonly delay_until_ms?: number;
    };

export type WrittenPublication =
  | {
      readonly outcome: "accepted";
      readonly position: number;
      readonly conversation_id: ConversationId;
      readonly standing?: FirstStanding;
    }
  | { readonly outcome: "duplicate"; readonly first: MessageRow }
  | Exclude<PublishOutcome, { readonly outcome: "accepted" | "duplicate" }>;

export type Batch = {
  /** Batches sent before the main thread heard of a failure are handed back untried, so that nothing overtakes. */
  readonly epoch: number;
  readonly requests: readonly WriterRequest[];
};

/** A batch as one array; see `packing.ts`. */
export type PackedBatch = { readonly epoch: number; readonly values: readonly unknown[] };
export type PackedAnswer = BatchAnswer<readonly unknown[]>;

export type BatchAnswer<Results = readonly RequestResult[]> = BatchDone<Results> | BatchRefused;
export type BatchDone<Results = readonly RequestResult[]> = {
  readonly done: true;
  /** One per request, in order; those of the last requests are missing where the disk was full half way. */
  readonly results: Results;
  readonly last_event: number;
  /** How long COMMIT took: mostly the disk. Undefined where nothing was written. */
  readonly commit_ms: number | undefined;
  readonly wal_size_bytes: number;
};
export type RequestResult = { readonly value: WriterResult } | { readonly error: WireError };
/** Nothing of it happened; `undefined` is the error of a batch that was only behind one that failed. */
export type BatchRefused = { readonly done: false; readonly error: WireError | undefined };

export type WriterOptions = {
  readonly file: string;
  readonly policy: DeliveryPolicy;
};

export type ToWriter = { readonly batch: PackedBatch } | { readonly close: true };
export type FromWriter =
  | { readonly ready: { readonly last_event: number } }
  | { readonly answer: PackedAnswer }
  /** A checkpoint outside of any batch, or its failure. */
  | { readonly checkpoint_ms: number; readonly error?: WireError }
  | { readonly closed: true };

export type CheckpointerOptions = { readonly file: string };
export type FromCheckpointer =
  | { readonly ready: true }
  | { readonly checkpoint_ms: number; readonly error?: WireError };
