import { type Client, type ConnectOptions, createClient } from "./remote-bus.ts";
import { openNodeSocket } from "./socket-node.ts";

export type { Follower } from "./follow.ts";
export type { CallOptions, Client, ConnectOptions } from "./remote-bus.ts";
export type { Subscription } from "./subscription.ts";
export type { HandlerContext, MessageHandler, Worker, WorkerOptions } from "./worker.ts";

/**
 * The bus of a server, from Node. Connects when first used.
 *
 * @param url `http://127.0.0.1:4483`; ws works as well.
 */
export function connect(url: string, options: ConnectOptions): Client {
  return createClient(openNodeSocket, url, options);
}
