import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import type { Delivery, Message, Priority } from "../contract/messages.ts";
import { type Client, connect } from "./client.ts";
import { keepLease, type Lease } from "./lease.ts";
import { findServer, type ServerSettings } from "./settings-node.ts";

export type AgentMessageQueueOptions = ServerSettings & {
  /** Messages one `receiveMessages` returns at most. Default 10. */
  readonly limit?: number;
  /** How long a received message is kept for its receiver without an acknowledgement. Default 10 minutes. */
  readonly hold_ms?: number;
};

/** Leases are renewed at a third of this, for as long as the message is held. */
const lease_ms = 30_000;
const default_hold_ms = 600_000;
const default_limit = 10;
/** Acknowledgements remembered, so that a message which comes again after its lease was lost is not handed out twice. */
const most_remembered = 10_000;

type Held = { lease: Lease; readonly timer: ReturnType<typeof setTimeout> };

/**
 * Send, receive, acknowledge, look back: the bus for a program that wants no more than that. Leases are remembered and
 * renewed in here, so that an acknowledgement needs only the message's id.
 */
export class AgentMessageQueue implements AsyncDisposable {
  readonly #client: Client;
  readonly #limit: number;
  readonly #hold_ms: number;
  readonly #held = new Map<string, Held>();
  /** Message id → what its acknowledgement answered. */
  readonly #acknowledged = new Map<string, boolean>();

  constructor(options: AgentMessageQueueOptions = {}) {
    const { url, ...shown } = findServer(options);
    this.#client = connect(url, shown);
    this.#limit = options.limit ?? default_limit;
    this.#hold_ms = options.hold_ms ?? default_hold_ms;
  }

  /**
   * Resolves when the message is on the server's disk. @throws BusError `agent_not_found` where nobody has registered as
   * `to_agent`, `inbox_full`, `unreachable`, …
   */
  sendMessage(from_agent: string, to_agent: string, message: string, priority: Priority = "normal"): Promise<Message> {
    return this.#client.sendMessage({ from_agent, to_agent, content: message, priority });
  }

  /**
   * The next messages for an agent, the most urgent first; none if there were none within `timeout`. They come again
   * unless they are acknowledged. An agent that is not registered yet is registered: receiving says "here I am".
   *
   * @param timeout Seconds.
   */
  async receiveMessages(agent_id: string, timeout = 30): Promise<Message[]> {
    const deadline_ms = performance.now() + timeout * 1_000;
    for (;;) {
      const left_ms = Math.max(0, Math.round(deadline_ms - performance.now()));
      const deliveries = await this.#claim(agent_id, Math.min(left_ms, limits.wait_ms));
      const fresh = await this.#take(deliveries);
      if (fresh.length > 0 || performance.now() >= deadline_ms) return fresh;
    }
  }

  /**
   * Says that a received message was handled. False where it was no longer held for us, so that another may have got it.
   *
   * @throws BusError `invalid_input` for a message that was not received here.
   */
  async acknowledgeMessage(message_id: string): Promise<boolean> {
    const before = this.#acknowledged.get(message_id);
    if (before !== undefined) return before;
    const held = this.#held.get(message_id);
    if (!held) {
      const message = `message ${message_id} is not held here: it was not received by this queue, or not acknowledged in time`;
      throw new BusError("invalid_input", message);
    }
    const { lease_id } = held.lease.delivery();
    const { acknowledged } = await this.#client.acknowledgeMessage({ message_id, lease_id });
    this.#remember(message_id, acknowledged);
    this.#release(message_id);
    return acknowledged;
  }

  /** All that two agents ever said to each other, the oldest first. */
  async getConversationHistory(agent1: string, agent2: string): Promise<Message[]> {
    const history: Message[] = [];
    const query = { participant: agent1, with: agent2, order: "asc", limit: limits.page } as const;
    for (let cursor: string | undefined; ; ) {
      const page = await this.#client.searchMessages(cursor === undefined ? query : { ...query, cursor });
      history.push(...page.messages);
      cursor = page.next_cursor;
      if (cursor === undefined) return history;
    }
  }

  /** Ends the connection; messages that were not acknowledged are given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const message_id of [...this.#held.keys()]) this.#release(message_id);
    await this.#client[Symbol.asyncDispose]();
  }

  async #claim(agent_id: string, wait_ms: number): Promise<readonly Delivery[]> {
    const claim = { agent_id, limit: this.#limit, lease_ms, wait_ms };
    try {
      return (await this.#client.claimMessages(claim)).deliveries;
    } catch (error) {
      if (!(error instanceof BusError && error.code === "agent_not_found")) throw error;
      await this.#client.registerAgent({ agent_id });
      return (await this.#client.claimMessages(claim)).deliveries;
    }
  }

  /** Remembers the leases; returns the messages that the caller does not have already. */
  async #take(deliveries: readonly Delivery[]): Promise<Message[]> {
    const fresh: Message[] = [];
    for (const delivery of deliveries) {
      const { message, lease_id } = delivery;
      const held = this.#held.get(message.id);
      if (this.#acknowledged.has(message.id)) {
        await this.#client.acknowledgeMessage({ message_id: message.id, lease_id });
      } else if (held) {
        held.lease.end();
        held.lease = this.#keep(delivery);
      } else {
        const timer = setTimeout(() => this.#release(message.id), this.#hold_ms);
        this.#held.set(message.id, { lease: this.#keep(delivery), timer });
        fresh.push(message);
      }
    }
    return fresh;
  }

  #keep(delivery: Delivery): Lease {
    return keepLease({ bus: this.#client, lease_ms, elapsed: () => performance.now() }, delivery);
  }

  #release(message_id: string): void {
    const held = this.#held.get(message_id);
    if (!held) return;
    held.lease.end();
    clearTimeout(held.timer);
    this.#held.delete(message_id);
  }

  #remember(message_id: string, acknowledged: boolean): void {
    this.#acknowledged.set(message_id, acknowledged);
    const [oldest] = this.#acknowledged.keys();
    if (this.#acknowledged.size > most_remembered && oldest !== undefined) this.#acknowledged.delete(oldest);
  }
}
