import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { Call, Caller } from "../app/mailroom.ts";
import { createConnectionMail } from "./connection-mail.ts";
import { createFrameWriter } from "./frame-writer.ts";
import { createLoad } from "./load.ts";
import { createOpenLeases } from "./open-leases.ts";
import { createOutbound, type Outbound } from "./outbound.ts";
import { type RefusedFrame, readFrame } from "./request-frame.ts";
import { type Link, type StreamOffice, serveRequest } from "./stream-request.ts";

/** One open WebSocket. */
export type Connection = {
  readonly subscriptions: number;
  /** Called at a steady pace: asks a silent other side whether it is there, and closes one that has gone. */
  checkAlive(): void;
  /** Refuses new requests, finishes those under way, gives the leases back and says good-bye. */
  stop(): Promise<void>;
  /** Says that the token is void, and closes. */
  cutOff(): void;
  terminate(): void;
  /** Resolves when the connection is closed and its leases are given back. */
  readonly closed: Promise<void>;
};

/** Bytes not yet taken by the other side above which nothing more is pushed to it or read from it. */
const behind_bytes = 1_024 * 1_024;
/** Requests under way above which no more are read. */
const most_in_flight = 4_096;
/** Bytes of requests under way above which no more are read. */
const most_in_flight_bytes = 32 * 1_024 * 1_024;
/** How long the other side has to answer a close frame before its socket is destroyed. */
const close_ms = 2_000;
/** Silent checks in a row after which the other side counts as gone. */
const most_missed = 2;

/** RFC 6455, section 7.4.1, and its registry. */
const closeCode = { going_away: 1001, not_text: 1003, not_json: 1007, not_allowed: 1008, too_slow: 1013 } as const;

/** The connection as this file knows it. */
type Live = Link & {
  readonly ws: WebSocket;
  readonly outbound: Outbound;
  readonly gone: AbortController;
  heard: boolean;
  missed: number;
};

/** Speaks `hivepost.v1` over an open WebSocket until it closes. */
export function openConnection(ws: WebSocket, socket: Duplex, caller: Caller, office: StreamOffice): Connection {
  const live = createLive(ws, socket, caller, office);
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  ws.on("message", (bytes: Buffer, isBinary) => receive(live, bytes, isBinary));
  ws.on("pong", () => {
    live.heard = true;
  });
  // The library answers a violation of the WebSocket protocol with the right close code by itself.
  ws.on("error", (error) => office.log.debug({ reason: error.message, actor: caller.actor }, "stream broke"));
  ws.on("close", () => void cleanUp(live, onClosed));
  return {
    get subscriptions() {
      return live.mail.subscriptions;
    },
    checkAlive: () => checkAlive(live),
    cutOff: () => close(live, closeCode.not_allowed, "the token was revoked, or has expired"),
    terminate: () => ws.terminate(),
    closed,
    async stop() {
      live.stopping = true;
      live.gone.abort();
      await Promise.race([live.load.idle(), closed]);
      await giveBack(live);
      close(live, closeCode.going_away, "the server is stopping");
      await closed;
    },
  };
}

function createLive(ws: WebSocket, socket: Duplex, caller: Caller, office: StreamOffice): Live {
  const gone = new AbortController();
  const onRoom = () => {
    if (ws.isPaused) live.heard = true;
    outbound.resume();
    readOn(live);
  };
  const writer = createFrameWriter(socket, onRoom, () => ws.readyState === ws.OPEN);
  const load = createLoad(() => readOn(live));
  const call: Call = {
    caller,
    onHeld: (refusal) => {
      load.hold();
      refusal.catch(load.letGo);
    },
  };
  const waitingCall = { ...call, signal: gone.signal };
  const outbound = createOutbound({
    writer,
    isBehind: () => writer.waiting_bytes > behind_bytes,
    onOverflow: () => close(live, closeCode.too_slow, "deliveries pile up: read faster, or give less credit"),
  });
  const mail = createConnectionMail({ mailroom: office.mailroom, call: waitingCall, outbound });
  const live: Live = {
    office,
    ws,
    caller,
    writer,
    outbound,
    mail,
    gone,
    waitingCall,
    call,
    leases: createOpenLeases(office.clock.now),
    load,
    stopping: false,
    heard: true,
    missed: 0,
  };
  return live;
}

function receive(live: Live, bytes: Buffer, isBinary: boolean): void {
  live.heard = true;
  if (isBinary) {
    close(live, closeCode.not_text, "frames are JSON as text");
    return;
  }
  const frame = readFrame(bytes);
  if ("refused" in frame) refuse(live, frame);
  else serveRequest(live, frame, bytes.length);
  if (isOverloaded(live)) live.ws.pause();
}

function refuse(live: Live, { id, refused, unreadable }: RefusedFrame): void {
  live.writer.send(JSON.stringify({ id, ok: false, error: { code: "invalid_input", message: refused } }));
  live.office.metrics.observe("unknown", "invalid_input", 0);
  // Nonsense counts like any request; that is told by not reading on, since it is answered already.
  live.office.rates.admit("unknown", undefined, live.call)?.catch(() => readOn(live));
  if (unreadable) close(live, closeCode.not_json, "frames are JSON");
}

function isOverloaded({ writer, load }: Live): boolean {
  if (load.held > 0) return true;
  return writer.waiting_bytes > behind_bytes || load.count > most_in_flight || load.bytes > most_in_flight_bytes;
}

function readOn(live: Live): void {
  if (live.ws.isPaused && !isOverloaded(live)) live.ws.resume();
}

/** A paused connection is not heard because nobody listens; there, only bytes that nobody takes count as silence. */
function checkAlive(live: Live): void {
  if (live.ws.isPaused && live.writer.waiting_bytes === 0) live.heard = true;
  live.missed = live.heard ? 0 : live.missed + 1;
  live.heard = false;
  if (live.missed >= most_missed) live.ws.terminate();
  else if (!live.ws.isPaused) live.ws.ping();
}

function close({ ws, writer }: Live, code: number, reason: string): void {
  writer.flush();
  ws.close(code, reason);
  setTimeout(() => ws.terminate(), close_ms).unref();
}

async function cleanUp(live: Live, onClosed: () => void): Promise<void> {
  live.gone.abort();
  await giveBack(live);
  onClosed();
  // What was still being claimed when the connection broke comes back only now.
  await live.load.idle();
  await giveBack(live);
}

async function giveBack({ mail, leases, office, caller }: Live): Promise<void> {
  try {
    await mail.end();
    const claimed = leases.takeAll();
    if (claimed.length > 0) {
      await office.mailroom.releaseLeases(claimed, "the claimer's connection closed; lease returned");
    }
  } catch (error) {
    // The leases end by themselves in time.
    office.log.error({ err: error, actor: caller.actor }, "cannot give back the leases of a closed connection");
  }
}
