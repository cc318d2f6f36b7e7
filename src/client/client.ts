import { readAuthority } from "./authority-node.ts";
import { type Client, createClient, type ConnectOptions as GeneralOptions } from "./remote-bus.ts";
import { nodeSockets } from "./socket-node.ts";

export type { Follower } from "./follow.ts";
export type { CallOptions, Client } from "./remote-bus.ts";
export type { Subscription } from "./subscription.ts";
export type { HandlerContext, MessageHandler, Worker, WorkerOptions } from "./worker.ts";

export type ConnectOptions = GeneralOptions & {
  /** A file with the certificates (PEM) of the authorities to trust in place of the well-known ones. */
  readonly ca_file?: string | undefined;
};

/**
 * The bus of a server, from Node. Connects when first used.
 *
 * @param url `http://127.0.0.1:4483`, or https; ws and wss work as well.
 * @throws BusError `invalid_input` for a `ca_file` that holds no certificate.
 */
export function connect(url: string, { ca_file, ...options }: ConnectOptions): Client {
  return createClient(nodeSockets(ca_file === undefined ? undefined : readAuthority(ca_file)), url, options);
}
