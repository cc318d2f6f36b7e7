import { streamPath, streamProtocol, ticketPath } from "../contract/stream.ts";
import { type Closure, closed, type OpenSocket, refusedHandshake, type SocketTarget, streamUrl } from "./socket.ts";

/**
 * A WebSocket as browsers have it: it cannot send headers, so a single-use ticket is fetched first and goes into the URL
 * in place of the token.
 */
export const openBrowserSocket: OpenSocket = (target, listener) => {
  let socket: WebSocket | undefined;
  const opening = new AbortController();
  const timer = setTimeout(() => opening.abort(new Error("no connection in time")), target.timeout_ms);

  function ended(closure: Closure): void {
    clearTimeout(timer);
    listener.closed(closure);
  }

  function open(ticket: string): void {
    const opened = new WebSocket(`${streamUrl(target.url, streamPath)}?ticket=${encodeURIComponent(ticket)}`, [
      streamProtocol,
    ]);
    socket = opened;
    opening.signal.addEventListener("abort", () => opened.close());
    opened.onopen = () => {
      clearTimeout(timer);
      listener.opened();
    };
    opened.onmessage = (event) => listener.received(String(event.data));
    opened.onclose = ({ code, reason }) => ended(closed(code, reason));
  }

  fetchTicket(target, opening.signal).then(
    (answer) => (typeof answer === "string" ? open(answer) : ended(answer)),
    (error: Error) => ended({ reason: error.message }),
  );

  return {
    send: (frame) => socket?.send(frame),
    close: () => (socket ? socket.close() : opening.abort(new Error("closed before it opened"))),
  };
};

/** The ticket, or why there is none. */
async function fetchTicket({ url, token }: SocketTarget, signal: AbortSignal): Promise<string | Closure> {
  const response = await fetch(url + ticketPath, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  const body = await response.text();
  if (!response.ok) return refusedHandshake(url, response.status, body);
  const { ticket } = JSON.parse(body) as { ticket: string };
  return ticket;
}
