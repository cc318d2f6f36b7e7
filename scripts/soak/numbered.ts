import { type AgentId, type MessageId, type Priority, priorities } from "../../src/contract/messages.ts";

/*
 * Messages by number: sender, recipient and priority follow from the number, and the id holds it. So nothing has to be
 * remembered of a message that has come to its end, and anything the server says of it later can be checked.
 */

/** Numbers that were set aside together; their ids share a time, so that ids stay about as old as their messages. */
export type Block = { readonly first: number; readonly count: number; readonly time_ms: number };

export const block_size = 10_000;

/** @param run Which soak it belongs to: 0 to 4095. */
export function idOf(run: number, n: number, { time_ms }: Block): MessageId {
  const time = time_ms.toString(16).padStart(12, "0");
  // A UUIDv7 (RFC 9562) whose 74 free bits are the run and the number.
  const id = `${time.slice(0, 8)}-${time.slice(8)}-7${run.toString(16).padStart(3, "0")}-8000-${n.toString(16).padStart(12, "0")}`;
  return id as MessageId;
}

/** The number of a message of this run; undefined where the id was made by somebody else. */
export function numberOf(run: number, id: MessageId): number | undefined {
  if (id.slice(15, 18) !== run.toString(16).padStart(3, "0") || id.slice(19, 23) !== "8000") return undefined;
  return Number.parseInt(id.slice(24), 16);
}

export function agentName(index: number): AgentId {
  return `agent-${index}` as AgentId;
}

export type Route = { readonly from: number; readonly to: number; readonly priority: Priority };

/** Agents take turns in sending, and each writes to all the others in turn; priorities are mixed. */
export function routeOf(n: number, agents: number): Route {
  const from = n % agents;
  const distance = 1 + (Math.floor(n / agents) % Math.max(1, agents - 1));
  const priority = priorities[[2, 1, 2, 0, 2, 3, 2, 1, 2, 2][n % 10] ?? 2] ?? "normal";
  return { from, to: (from + distance) % agents, priority };
}
