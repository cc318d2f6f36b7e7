import type { BusEvent } from "../contract/events.ts";
import type { AgentId, Delivery, LeaseId } from "../contract/messages.ts";
import type { Bus, Scope } from "../contract/operations.ts";
import type { StoreStatus } from "./ports.ts";

/** Who is asking. */
export type Caller = {
  /** The name that ledgers show: the agent's id, or `operator`. */
  readonly actor: string;
  readonly scopes: readonly Scope[];
  /** The public name of the token that was shown. */
  readonly key_id?: string;
  /** Set for an agent's own token: it acts as this agent and no other. */
  readonly agent_id?: AgentId;
};

/** One call: who asks, and the signal that says that nobody waits for the answer any more. */
export type Call = { readonly caller: Caller; readonly signal?: AbortSignal };

/** Pushed mail for one subscriber; closing it gives its leases back at once. */
export type Subscription = AsyncDisposable & {
  /** Lets `credit` more deliveries be outstanding. */
  addCredit(credit: number): void;
};

/** An open event stream; `ended` rejects with the reason should it end by itself. */
export type Following = AsyncDisposable & {
  /** Where it began: a reader who loses the connection before the first event goes on from here. */
  readonly cursor: BusEvent["cursor"];
  readonly ended: Promise<void>;
};

export type SubscribeInput = {
  readonly agent_id: AgentId;
  readonly credit: number;
  readonly lease_ms?: number;
};

/**
 * The bus as the server sees it: every operation, and the three things that need a lasting connection. What `subscribe`
 * and `follow` push goes through the same rules as `claimMessages` and reads the same log as everybody else.
 */
export type Mailroom = Bus<[call: Call]> & {
  /**
   * Pushes deliveries as long as credit lasts. A delivery takes one credit and gives it back when it leaves the leased
   * state, however that happens (acknowledged, rejected, expired).
   */
  subscribe(input: SubscribeInput, push: (deliveries: readonly Delivery[]) => void, call: Call): Promise<Subscription>;
  /**
   * Pushes events after a cursor (from now where none is given), in order, a page at a time; waits for `push` to resolve
   * before it reads on, so a slow reader is never flooded. Resolves when following; errors with `cursor_expired` when
   * events after the cursor have been forgotten.
   */
  follow(
    input: { readonly after?: BusEvent["cursor"] },
    push: (events: readonly BusEvent[]) => Promise<void>,
    call: Call,
  ): Promise<Following>;
  /** Ends leases of a caller that has gone, so that others get the messages at once. */
  releaseLeases(leases: readonly LeaseId[], reason: string): Promise<void>;
  /** For `/metrics`: drains the observations of histograms, so one reader only. */
  status(): Promise<StoreStatus>;
};
