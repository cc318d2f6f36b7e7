import { type Client, type ConnectOptions, createClient } from "./remote-bus.ts";
import { openBrowserSocket } from "./socket-browser.ts";

export type { Client, ConnectOptions } from "./remote-bus.ts";

/** The bus of a server, from a browser (or anything else that has `fetch` and `WebSocket`). Connects when first used. */
export function connect(url: string, options: ConnectOptions): Client {
  return createClient(openBrowserSocket, url, options);
}
