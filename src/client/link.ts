import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Closure, OpenSocket, Socket } from "./socket.ts";

/*
 *             want            opened
 *   idle ─────────▶ opening ───────────▶ open
 *    ▲               ▲    │ closed         │ closed
 *    │ not wanted    │    ▼                │
 *    └────────────── waiting ◀─────────────┘
 *                  (back-off)
 */

/** Longest wait before the first attempt to connect again; doubles up to `reconnect_max_ms`. */
const reconnect_base_ms = 50;
/** A connection that held this long was a good one: the next attempt need not wait for the failures before it. */
const settled_ms = 1_000;
/** How long one attempt may take; many attempts fit into the time a request waits for a connection. */
const handshake_timeout_ms = 5_000;

export type LinkOptions = {
  readonly url: string;
  readonly token: string;
  readonly reconnect_max_ms: number;
  readonly openSocket: OpenSocket;
  readonly clock: Clock;
  readonly random: Random;
};

export type LinkListener = {
  opened(): void;
  received(text: string): void;
  /** An attempt failed, or an open connection is gone. */
  closed(closure: Closure, wasOpen: boolean): void;
  /** Whether to connect again. */
  wanted(): boolean;
};

/** At most one socket to the server, made anew with growing pauses for as long as somebody wants it. */
export type Link = {
  /** Connects if there is no connection, as soon as the pause after the last failure is over. */
  want(): void;
  /** The socket, while it is open. */
  open(): Socket | undefined;
  /** Gives the present socket up; the listener hears `closed`. */
  drop(): void;
  close(): void;
};

type LinkState = {
  socket: Socket | undefined;
  opened_ms: number | undefined;
  failures: number;
  not_before_ms: number;
  reconnecting: ReturnType<typeof setTimeout> | undefined;
  closed: boolean;
};

export function createLink(options: LinkOptions, listener: LinkListener): Link {
  const { clock } = options;
  const state: LinkState = {
    socket: undefined,
    opened_ms: undefined,
    failures: 0,
    not_before_ms: Number.NEGATIVE_INFINITY,
    reconnecting: undefined,
    closed: false,
  };

  function want(): void {
    if (state.socket || state.reconnecting !== undefined || state.closed) return;
    const delay_ms = state.not_before_ms - clock.elapsed();
    if (delay_ms <= 0) connect();
    else state.reconnecting = setTimeout(connect, delay_ms);
  }

  function connect(): void {
    state.reconnecting = undefined;
    const { url, token } = options;
    const socket: Socket = options.openSocket(
      { url, token, timeout_ms: handshake_timeout_ms },
      {
        opened() {
          state.opened_ms = clock.elapsed();
          listener.opened();
        },
        received: listener.received,
        closed,
      },
    );
    state.socket = socket;
  }

  function closed(closure: Closure): void {
    if (state.closed) return;
    const wasOpen = state.opened_ms !== undefined;
    state.not_before_ms = clock.elapsed() + pauseAfter(state, options);
    state.socket = undefined;
    state.opened_ms = undefined;
    listener.closed(closure, wasOpen);
    if (listener.wanted()) want();
  }

  return {
    want,
    open: () => (state.opened_ms === undefined ? undefined : state.socket),
    drop: () => state.socket?.close(),
    close() {
      state.closed = true;
      clearTimeout(state.reconnecting);
      state.socket?.close();
    },
  };
}

/** Exponential backoff with full jitter. Source: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015. */
function pauseAfter(state: LinkState, { clock, random, reconnect_max_ms }: LinkOptions): number {
  if (state.opened_ms !== undefined && clock.elapsed() - state.opened_ms >= settled_ms) state.failures = 0;
  const ceiling_ms = Math.min(reconnect_max_ms, reconnect_base_ms * 2 ** Math.min(state.failures, 16));
  state.failures += 1;
  return random() * ceiling_ms;
}
