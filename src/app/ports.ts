import type { Agent, AgentRegistration, Heartbeat } from "../contract/agents.ts";
import type { AuditEntry, AuditEventName } from "../contract/audit.ts";
import type { Conversation, ConversationStatus } from "../contract/conversations.ts";
import type { BusEvent } from "../contract/events.ts";
import type {
  Address,
  AgentId,
  ConversationId,
  DeadLetter,
  Delivery,
  DeliveryState,
  DeliveryStatus,
  LeaseId,
  Message,
  MessageId,
  MessageType,
  Metadata,
  Moment,
  OfflinePolicy,
  Priority,
  TracedMessage,
} from "../contract/messages.ts";
import type { Provenance } from "../contract/provenance.ts";
import type { Sealed } from "../contract/sealed.ts";
import type { TokenInfo } from "../contract/tokens.ts";
import type { InboxCounts } from "../core/messaging/inbox.ts";
import type { CipherKeys, KeyRecords } from "../crypto/key-ring.ts";

/*
 * What the bus needs from storage: a few ports of a few atomic intents. Each intent is one thing that happens wholly or
 * not at all, and one that a single Redis script could carry out: it never needs an answer from outside half way through.
 * A store is opened with its clock and its `DeliveryPolicy` (core/messaging/policy.ts), because a shared store must judge
 * leases by one clock, its own.
 *
 * Answers about the world ("closed", "lease lost", "duplicate") are outcomes, returned. What is thrown is a BusError
 * `storage_full` or `unavailable`: nothing happened, and trying again is safe.
 */

/** One message on its way into the store, every default filled in and every recipient resolved. */
export type Publication = {
  readonly id: MessageId;
  /** The bus made the id just now: nobody can have used it before, whatever the wall clock says of its age. */
  readonly fresh_id?: true;
  readonly from_agent: AgentId;
  /** What stands in the message: the agent, or the address as text. */
  readonly to_agent: string;
  readonly to?: Address;
  /** Who gets a delivery: at least one, none twice. */
  readonly recipients: readonly AgentId[];
  /** Everyone the conversation is between: sender and recipients, sorted, none twice. */
  readonly participants: readonly AgentId[];
  /** Empty where it is sealed; so is its metadata. */
  readonly content: string;
  readonly sealed?: Sealed;
  readonly priority: Priority;
  readonly message_type: MessageType;
  readonly metadata: Metadata;
  readonly when: Moment;
  readonly offline: OfflinePolicy;
  readonly reply_to?: MessageId;
  readonly conversation_id?: ConversationId;
  /** The id of the conversation, should this message open one. */
  readonly fresh_conversation_id: ConversationId;
  /** Wall time, milliseconds. */
  readonly deliver_at_ms?: number;
  readonly expires_at_ms?: number;
  readonly idempotency_key?: string;
  readonly actor: string;
  readonly provenance: Provenance;
  /** The conversation it names or answers in must be one that the sender takes part in; any other is as if it were not there. */
  readonly as_participant?: true;
  /** The bus's own notices: never refused for a full inbox, lest a sender never hear of a dead letter. */
  readonly notice?: true;
  /** Why it does not go to the agent that was named. */
  readonly rerouted?: string;
};

export type PublishOutcome =
  /** `ready` lists the recipients that may claim it now. */
  | { readonly outcome: "accepted"; readonly message: Message; readonly ready: readonly AgentId[] }
  /** This id, or this sender's idempotency key, was used before; the first message. */
  | { readonly outcome: "duplicate"; readonly message: Message }
  | PublishRefusal;

/** Why a publication was not accepted; nothing was changed. */
export type PublishRefusal =
  | { readonly outcome: "inbox_full"; readonly agent_id: AgentId; readonly depth: number }
  | { readonly outcome: "conversation_not_found"; readonly conversation_id: ConversationId }
  | { readonly outcome: "conversation_closed"; readonly conversation_id: ConversationId }
  | { readonly outcome: "reply_to_not_found"; readonly message_id: MessageId }
  /** The conversation takes sealed messages only, and this is none. The bus's own notices never go there. */
  | { readonly outcome: "sealed_only"; readonly conversation_id: ConversationId }
  /** `reply_to` belongs to another conversation than `conversation_id`. */
  | { readonly outcome: "reply_to_elsewhere"; readonly conversation_id: ConversationId }
  /** The id is older than what is kept, so nobody can say whether it was used. */
  | { readonly outcome: "id_expired"; readonly kept_since_ms: number };

export type Claim = {
  readonly agent_id: AgentId;
  readonly limit: number;
  readonly lease_ms: number;
  /** Least effective priority. */
  readonly min_priority?: Priority;
  /** Only what may reach the agent at this moment: messages whose own `when` is this moment or an earlier one. */
  readonly when?: Moment;
  readonly actor: string;
};

export type ClaimOutcome =
  | { readonly outcome: "claimed"; readonly deliveries: readonly Delivery[] }
  /** The agent holds as many leases as it may. */
  | { readonly outcome: "lease_limit"; readonly open_leases: number };

/** A lease as somebody presents it. `agent_id`: only this agent's lease counts; another's is as if there were no such message. */
export type LeaseRef = { readonly message_id: MessageId; readonly lease_id: LeaseId; readonly agent_id?: AgentId };

/**
 * `lease_lost`: the lease had ended, nothing was changed; `status` says how the delivery stands when the answer is made,
 * where it can be told which delivery the lease was for. An acknowledgement repeated with the same lease is acknowledged again.
 */
export type AcknowledgeOutcome = "acknowledged" | "lease_lost" | "message_not_found";
export type LeaseOutcome =
  | { readonly outcome: "done"; readonly status: DeliveryStatus; readonly dead?: Death }
  | { readonly outcome: "lease_lost"; readonly status: DeliveryStatus }
  | { readonly outcome: "message_not_found" };

/** A delivery that was given up just now; its sender is owed a notice. */
export type Death = {
  readonly message: Message;
  readonly agent_id: AgentId;
  readonly reason: string;
  /** As in its `dead` event: with message and agent it names this death among all. */
  readonly died_at: string;
};

export type Sweep = {
  /** Agents that have something to claim which they had not before. */
  readonly woken: readonly AgentId[];
  readonly deaths: readonly Death[];
  /** Leases that ended without an acknowledgement. */
  readonly expired: readonly LeaseId[];
  /** Milliseconds until the next thing falls due; undefined when nothing is pending. */
  readonly next_due_ms: number | undefined;
};

export type Redrive = {
  readonly agent_id?: AgentId;
  readonly message_ids?: readonly MessageId[];
  readonly limit: number;
  readonly actor: string;
};

/** The way of messages from acceptance to the end of every delivery. */
export type DeliveryStore = {
  /**
   * Accepts each publication by itself, in order; durable before it resolves. Finds or opens the conversation, counts the
   * chain of replies, and enters one delivery per recipient, or none at all where it refuses.
   */
  publish(publications: readonly Publication[]): Promise<readonly PublishOutcome[]>;
  /** Leases the best ready deliveries: by effective priority, then in order of acceptance. */
  claim(claim: Claim): Promise<ClaimOutcome>;
  acknowledge(leases: readonly LeaseRef[], actor: string): Promise<readonly AcknowledgeOutcome[]>;
  reject(lease: LeaseRef, reason: string, options: { delay_ms?: number; actor: string }): Promise<LeaseOutcome>;
  extend(lease: LeaseRef, lease_ms: number, actor: string): Promise<LeaseOutcome>;
  /** Notes in the ledger that a leased message was put before its reader or taken up. */
  record(
    lease: LeaseRef,
    evidence: { event: "injected" | "seen"; reason?: string; actor: string },
  ): Promise<LeaseOutcome>;
  /** Ends leases before their time, as when a connection closes; the deliveries are ready at once. */
  release(leases: readonly LeaseId[], reason: string): Promise<Pick<Sweep, "woken" | "deaths">>;
  /** Does what has fallen due: expired leases, scheduled deliveries, expired messages, aging. At most `limit` of each. */
  sweep(limit: number): Promise<Sweep>;
  /** Makes dead and held deliveries ready, with all attempts before them, the oldest first. */
  redrive(
    redrive: Redrive,
  ): Promise<{ readonly message_ids: readonly MessageId[]; readonly woken: readonly AgentId[] }>;
  /** Gives up every open delivery of a recipient that is gone. */
  retire(agent_id: AgentId, reason: string, actor: string): Promise<readonly Death[]>;
};

export type SearchOrder = "newest" | "oldest";

/** A question to the history: all that is given must hold. Times in milliseconds, wall time. */
export type Search = {
  readonly participant?: AgentId;
  readonly with?: AgentId;
  readonly from_agent?: AgentId;
  readonly to_agent?: AgentId;
  readonly conversation_id?: ConversationId;
  readonly priority?: Priority;
  readonly message_type?: MessageType;
  readonly state?: DeliveryState;
  readonly since_ms?: number;
  readonly until_ms?: number;
  /** Words, as `words()` of core/messaging/words.ts makes them; all must occur in the content. */
  readonly words?: readonly string[];
  /** Path into `metadata` → the scalar there, as text. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Only what this agent sent or got, besides what else is asked. */
  readonly visible_to?: AgentId;
  readonly order: SearchOrder;
  readonly limit: number;
  /** Position of the last row already seen. */
  readonly after?: number;
};

/** A page of rows, and the position to ask on from; undefined at the end. Positions grow with time. */
export type Page<Row> = { readonly rows: readonly Row[]; readonly next?: number };

/** A message that came by another path. */
export type Import = Publication & { readonly timestamp_ms: number };

/** What was said, for ever or until retention. Complete: what was accepted before the call is found by it. */
export type HistoryStore = {
  message(id: MessageId): Promise<TracedMessage | undefined>;
  /** What this sender's idempotency key, while it is remembered, or else this id was first used for. */
  firstSent(sent: Pick<Publication, "id" | "from_agent" | "idempotency_key">): Promise<Message | undefined>;
  search(search: Search): Promise<Page<Message>>;
  inbox(agent_id: AgentId): Promise<InboxCounts>;
  /** The latest first. Message content included. */
  deadLetters(query: { agent_id?: AgentId; limit: number; after?: number }): Promise<Page<DeadLetter>>;
  /** Stores as acknowledged; never delivered. False for an id that is already there. */
  import(messages: readonly Import[]): Promise<readonly boolean[]>;
  /**
   * Forgets messages accepted before `before_ms` with which nothing has happened since then and whose every delivery has
   * ended, unless their idempotency key is still remembered; at most `limit`. Their ledgers go with them, and so do other
   * events from before. Returns how many messages.
   */
  prune(before_ms: number, limit: number): Promise<number>;
};

export type ConversationStore = {
  open(conversation: {
    id: ConversationId;
    participants: readonly AgentId[];
    sealed?: true | undefined;
    actor: string;
  }): Promise<Conversation>;
  conversation(id: ConversationId): Promise<Conversation | undefined>;
  /** The latest activity first; ties by id. */
  conversations(query: {
    participant?: AgentId;
    status?: ConversationStatus;
    limit: number;
    after?: { readonly last_activity: string; readonly id: ConversationId };
  }): Promise<readonly Conversation[]>;
  changeStatus(id: ConversationId, status: ConversationStatus, actor: string): Promise<Conversation | undefined>;
};

/** An event without its cursor: the position takes its place. `from_agent`: who sent the message it is about. */
export type StoredEvent = Omit<BusEvent, "cursor"> & { readonly position: number; readonly from_agent?: AgentId };

export type EventPage = { readonly events: readonly StoredEvent[]; readonly gap: boolean };

/** The ledgers of all deliveries and what happens to agents and conversations, as one log in the order it happened. */
export type EventLog = {
  /** Events after a position, oldest first; `gap` where some of them have been forgotten since. */
  events(after: number, limit: number): Promise<EventPage>;
  /** Position of the latest event. */
  head(): Promise<number>;
  /** Calls back soon after events were added; may coalesce. Returns the way to stop. */
  onEvents(callback: () => void): () => void;
};

/** What is known of an agent, less what is worked out when asked (`health`). `seen_ms` is elapsed-clock time. */
export type KnownAgent = Omit<Agent, "health" | "last_seen_at"> & {
  readonly last_seen_ms?: number;
};

export type FleetStore = {
  /**
   * Registers or replaces; refuses where an alias or the id already names another agent. Published keys stay where the
   * registration brings none; other ones are told by an event.
   *
   * @param keys_reason What that event says.
   */
  putAgent(
    agent: AgentRegistration,
    actor: string,
    keys_reason?: string,
  ): Promise<
    | { readonly outcome: "registered"; readonly agent: KnownAgent; readonly keys_changed?: true }
    | { readonly outcome: "alias_taken"; readonly alias: AgentId; readonly by: AgentId }
  >;
  /** By id or alias. */
  agent(name: AgentId): Promise<KnownAgent | undefined>;
  agents(filter: { capability?: string; group?: string }): Promise<readonly KnownAgent[]>;
  removeAgent(agent_id: AgentId, actor: string): Promise<boolean>;
  /** Notes that an agent was heard of now, and what it said. Kept in memory: the next heartbeat brings it back. */
  touchAgent(heartbeat: Heartbeat): Promise<KnownAgent | undefined>;
};

/** What is kept of a token: not its text, but the SHA-256 of it, base64url. */
export type StoredToken = TokenInfo & { readonly hash: string };

export type TokenStore = {
  /** Every one there ever was, the oldest first. */
  tokens(): Promise<readonly StoredToken[]>;
  /** Refuses, with false, one for an agent that has `most_live` already which are neither revoked nor expired. */
  add(token: StoredToken, most_live: number): Promise<boolean>;
  /**
   * Void once it resolves, for ever; one that was revoked before stays as it is. What could not be written has not happened,
   * and may be asked for again.
   */
  revoke(key_id: string): Promise<StoredToken | undefined>;
  /** Changes nothing but the time of the last use, and that only to a later one. */
  noteUse(uses: readonly { readonly key_id: string; readonly at: string }[]): Promise<void>;
};

/** How the store is doing, for `/health` and `/metrics`. Counters count from the start of the process. */
export type StoreStatus = {
  readonly kind: string;
  readonly depth: Readonly<Record<Priority, number>>;
  readonly oldest_age_ms: number;
  readonly leased: number;
  readonly dead: number;
  readonly counts: Readonly<
    Record<"accepted" | "delivered" | "acknowledged" | "redelivered" | "rejected" | "dead", number>
  >;
  /** Store-specific gauges, snake_case with the unit last, e.g. `wal_size_bytes`, `index_lag_messages`. */
  readonly gauges: Readonly<Record<string, number>>;
  /** Histograms observed since the last call: name → raw observations, e.g. `fsync_ms`, `commit_batch_size`. */
  readonly observations: Readonly<Record<string, readonly number[]>>;
};

/** An entry of the audit log before it has its place in it. */
export type AuditNote = Omit<AuditEntry, "seq" | "prev" | "mac">;

/** Times in milliseconds, wall time. */
export type AuditQuery = {
  readonly event?: AuditEventName;
  readonly actor?: string;
  readonly since_ms?: number;
  readonly until_ms?: number;
  readonly limit: number;
  /** Only entries before this one. */
  readonly before_seq?: number;
};

/** The audit log: grows at its end, and nothing in it ever changes. */
export type AuditStore = {
  /** On disk when it resolves, in this order. @throws BusError `storage_full`, `unavailable`: then nothing was written. */
  append(notes: readonly AuditNote[]): Promise<void>;
  /** The latest first; `next` is the number of the last entry on the page. */
  entries(query: AuditQuery): Promise<Page<AuditEntry>>;
};

/** How far sealing anew has got. */
export type Reencrypted = {
  readonly looked_at: number;
  readonly resealed: number;
  /** From 0 to 1: of the way from the first message to the last. */
  readonly share: number;
  readonly done: boolean;
};

/** The keys that a store seals with what was said. */
export type StoreKeys = {
  /** Letters, digits and dashes; stays the hive's for ever, and goes with its copies. */
  readonly hive_id: string;
  readonly records: KeyRecords;
  /** From now on the store seals under the newest of these, and opens with all of them. The first time unlocks it. */
  use(keys: CipherKeys): Promise<void>;
  /**
   * Seals the next `limit` messages anew that an older epoch sealed; it goes on where it stopped, after a crash too, until
   * it says that it is done.
   */
  reencrypt(limit: number): Promise<Reencrypted>;
  /** Whether sealing anew was begun and is not done. */
  isReencrypting(): Promise<boolean>;
};

/** A place, apart from the audit log, for the word that says where it ends. */
export type AuditHead = {
  read(): Promise<string | undefined>;
  /** On disk when it resolves. */
  write(head: string): Promise<void>;
};

export type Store = AsyncDisposable & {
  readonly deliveries: DeliveryStore;
  readonly history: HistoryStore;
  readonly conversations: ConversationStore;
  readonly events: EventLog;
  readonly fleet: FleetStore;
  readonly tokens: TokenStore;
  readonly keys: StoreKeys;
  readonly auditHead: AuditHead;
  status(): Promise<StoreStatus>;
};
