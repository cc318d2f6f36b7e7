import type { Message, MessageId } from "../../src/contract/messages.ts";
import { ledgerFaults } from "../../test/support/checker.ts";
import type { Ticked } from "./journal.ts";
import type { Load } from "./load.ts";
import { agentName, numberOf, routeOf } from "./numbered.ts";

/** Reads the server's history from one end to the other and ticks every message off, a bit for each. */
export type Audit = {
  /**
   * Reads on, up to but not including what was accepted at `until_ms`; all of that must have been acknowledged. Where it
   * is cut off, it can be called again.
   */
  readOn(load: Pick<Load, "call" | "look">, until_ms: number): Promise<void>;
  has(n: number): boolean;
  readonly count: number;
  readonly ticked: Ticked;
};

export type AuditOptions = {
  readonly run: number;
  readonly agents: number;
  readonly ticked: Ticked;
  /** The whole ledger of one message in so many is read. */
  readonly ledger_every: number;
  readonly complain: (what: string) => void;
};

/** As many as the server gives. */
const page = 500;

export function createAudit(options: AuditOptions): Audit {
  let { bits, since_ms } = options.ticked;
  let count = countBits(bits);
  const has = (n: number) => ((bits[n >> 3] ?? 0) & (1 << (n & 7))) !== 0;

  const tick = (n: number) => {
    if (n >> 3 >= bits.length) {
      const larger = new Uint8Array(Math.max(4_096, 2 * bits.length, (n >> 3) + 1));
      larger.set(bits);
      bits = larger;
    }
    bits[n >> 3] = (bits[n >> 3] ?? 0) | (1 << (n & 7));
    count += 1;
  };

  /** @returns Its number, if it is to be looked at more closely. */
  const take = (message: Message): number | undefined => {
    const n = numberOf(options.run, message.id);
    if (n === undefined) return undefined;
    if (has(n)) {
      // What was accepted in the very millisecond at which the last page ended is read once more.
      if (Date.parse(message.timestamp) !== since_ms) options.complain(`message ${n} stands in the history twice`);
      return undefined;
    }
    tick(n);
    checkMessage(options, n, message);
    return n % options.ledger_every === 0 ? n : undefined;
  };

  return {
    async readOn(load, until_ms) {
      for await (const messages of pagesOf(load, since_ms, until_ms)) {
        const closer = messages.filter((it) => take(it) !== undefined);
        await Promise.all(closer.map((it) => checkLedger(options, load, it.id)));
        since_ms = Math.max(since_ms, ...messages.slice(-1).map((it) => Date.parse(it.timestamp)));
      }
    },
    has,
    get count() {
      return count;
    },
    get ticked() {
      return { bits, since_ms };
    },
  };
}

async function* pagesOf(load: Pick<Load, "call">, since_ms: number, until_ms: number): AsyncGenerator<Message[]> {
  if (until_ms <= since_ms) return;
  const question = { since: iso(since_ms), until: iso(until_ms), order: "asc", limit: page };
  for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
    // What searchMessages answers.
    const answer = (await load.call("searchMessages", { ...question, ...(cursor && { cursor }) })) as {
      messages: Message[];
      next_cursor?: string;
    };
    yield answer.messages;
    cursor = answer.next_cursor;
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function checkMessage({ agents, complain }: AuditOptions, n: number, message: Message): void {
  const { from, to, priority } = routeOf(n, agents);
  const expected = `${agentName(from)} ${agentName(to)} ${priority} ${n}`;
  const found = `${message.from_agent} ${message.to_agent} ${message.priority} ${Number.parseInt(message.content, 10)}`;
  if (found !== expected) complain(`message ${n} should be ${expected}, but the history says ${found}`);
  if (!message.acknowledged) complain(`message ${n} is not acknowledged in the end`);
}

async function checkLedger({ complain }: AuditOptions, load: Pick<Load, "look">, id: MessageId): Promise<void> {
  const traced = await load.look(id);
  const faults = traced
    ? ledgerFaults(traced, { crashes: true })
    : ["is in the history, but cannot be found by its id"];
  for (const fault of faults) complain(`message ${id} ${fault}`);
}

function countBits(bits: Uint8Array): number {
  let count = 0;
  for (let byte of bits) for (; byte !== 0; byte &= byte - 1) count += 1;
  return count;
}
