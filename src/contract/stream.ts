import type { ErrorCode } from "./errors.ts";
import type { BusEvent } from "./events.ts";
import type { AgentId, Cursor, Delivery } from "./messages.ts";
import type { OperationName } from "./routes.ts";

/** Where the stream lives, and the subprotocol that both sides name when they open it. */
export const streamPath = "/stream";
export const streamProtocol = "hivepost.v1";
/** Where a program that cannot set headers (a browser) gets the `?ticket=` that opens one stream. */
export const ticketPath = "/stream/ticket";

/**
 * What the stream can do besides the operations of the table.
 *
 * - `subscribe` pushes deliveries of one agent's inbox while there is credit; one per agent and connection.
 * - `credit` adds to it. `unsubscribe` ends it and gives its leases back at once.
 * - `follow` pushes events after a cursor; one per connection. Its answer holds the cursor it began at.
 */
export type StreamInput = {
  readonly subscribe: { readonly agent_id: AgentId; readonly credit: number; readonly lease_ms?: number };
  readonly unsubscribe: { readonly agent_id: AgentId };
  readonly credit: { readonly agent_id: AgentId; readonly credit: number };
  readonly follow: { readonly after?: Cursor };
};
export type StreamOperation = keyof StreamInput;

/** What a client sends. Ids are its own choice; answers come in any order. */
export type RequestFrame = {
  readonly id: number;
  readonly op: OperationName | StreamOperation;
  readonly input: object;
};

/** A `follow` or `subscribe` that ends later than it was answered is told by a second, failed answer with its id. */
export type AnswerFrame =
  | { readonly id: number; readonly ok: true; readonly output: unknown }
  | { readonly id: number; readonly ok: false; readonly error: StreamError };

export type StreamError = { readonly code: ErrorCode; readonly message: string; readonly retry_after_ms?: number };

/** What the server sends: answers, deliveries, and the events that are followed as they stand. */
export type ServerFrame = AnswerFrame | { readonly event: "delivery"; readonly delivery: Delivery } | BusEvent;
