import type { BusError } from "../contract/errors.ts";
import type { BusEvent } from "../contract/events.ts";
import type { Cursor } from "../contract/messages.ts";
import { type Connection, type ConnectionOptions, createConnection } from "./connection.ts";
import { isPassing, pauseAfter } from "./waiting.ts";

/** Events that wait for the handler, above which the server is asked to slow down. */
const most_waiting = 1_000;

export type FollowInput = {
  /** Events after this cursor; from now where none is given. */
  readonly after?: string | undefined;
};

/** Called with one event at a time, in order; the next waits until it resolves. */
export type FollowHandler = (event: BusEvent) => void | Promise<void>;

/** A reader of the stream of events, until it is disposed. */
export type Follower = AsyncDisposable & {
  /** Of the last event that was handled: where to go on after a restart. */
  readonly cursor: Cursor | undefined;
  /**
   * Resolves when no more events will come: with what the handler threw, or with the server's refusal (`cursor_expired`
   * where events were forgotten before they could be read), or with undefined once it was disposed.
   */
  readonly ended: Promise<Error | undefined>;
};

type FollowState = {
  readonly handler: FollowHandler;
  readonly waiting: BusEvent[];
  readonly stopping: AbortController;
  readonly end: PromiseWithResolvers<Error | undefined>;
  /** Of the last event that came. */
  received: Cursor | undefined;
  handled: Cursor | undefined;
  paused: boolean;
  handling: boolean;
  lost: PromiseWithResolvers<void>;
};

/**
 * Follows over a connection of its own, so that a slow handler slows down only this stream, and resumes after the last
 * event that came whenever the connection was lost.
 *
 * @throws BusError `cursor_expired`, `invalid_cursor`, and what connecting may throw.
 */
export async function follow(
  options: ConnectionOptions,
  { after }: FollowInput,
  handler: FollowHandler,
): Promise<Follower> {
  const state: FollowState = {
    handler,
    waiting: [],
    stopping: new AbortController(),
    end: Promise.withResolvers(),
    // Given by the server earlier; it checks it.
    received: after as Cursor | undefined,
    handled: after as Cursor | undefined,
    paused: false,
    handling: false,
    lost: Promise.withResolvers(),
  };
  const connection: Connection = createConnection(options, {
    pushed(frame) {
      if ("cursor" in frame) receive(state, connection, frame);
    },
    lost() {
      state.paused = false;
      state.lost.resolve();
    },
    ended(error) {
      if (isPassing(error)) state.lost.resolve();
      else finish(state, connection, error);
    },
  });
  try {
    await resume(state, connection, { patient: false });
  } catch (error) {
    connection.close();
    throw error;
  }
  keepFollowing(state, connection).catch((error: Error) => finish(state, connection, error));
  return {
    get cursor() {
      return state.handled;
    },
    ended: state.end.promise,
    async [Symbol.asyncDispose]() {
      finish(state, connection, undefined);
    },
  };
}

async function resume(state: FollowState, connection: Connection, { patient }: { patient: boolean }): Promise<void> {
  state.lost = Promise.withResolvers();
  const input = state.received === undefined ? {} : { after: state.received };
  const output = await connection.request("follow", input, { resend: false, patient, signal: state.stopping.signal });
  // Where the server says where "now" was, a connection lost before the first event costs no events.
  state.received ??= (output as { cursor?: Cursor }).cursor;
}

async function keepFollowing(state: FollowState, connection: Connection): Promise<void> {
  const { signal } = state.stopping;
  await state.lost.promise;
  while (!signal.aborted) {
    try {
      await resume(state, connection, { patient: true });
      await state.lost.promise;
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error)) throw error;
      await pauseAfter(error as BusError);
    }
  }
}

function receive(state: FollowState, connection: Connection, event: BusEvent): void {
  if (state.stopping.signal.aborted) return;
  state.received = event.cursor;
  state.waiting.push(event);
  if (state.waiting.length > most_waiting && !state.paused) {
    state.paused = true;
    connection.pause();
  }
  if (!state.handling) void handleWaiting(state, connection);
}

async function handleWaiting(state: FollowState, connection: Connection): Promise<void> {
  state.handling = true;
  try {
    for (let event = state.waiting.shift(); event; event = state.waiting.shift()) {
      await state.handler(event);
      if (state.stopping.signal.aborted) return;
      state.handled = event.cursor;
      if (state.paused && state.waiting.length === 0) {
        state.paused = false;
        connection.resume();
      }
    }
  } catch (error) {
    finish(state, connection, error instanceof Error ? error : new Error(String(error)));
  } finally {
    state.handling = false;
  }
}

function finish(state: FollowState, connection: Connection, error: Error | undefined): void {
  if (state.stopping.signal.aborted) return;
  state.stopping.abort();
  connection.close();
  state.lost.resolve();
  state.end.resolve(error);
}
