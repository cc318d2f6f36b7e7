import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { Caller } from "../app/mailroom.ts";
import { BusError } from "../contract/errors.ts";
import { streamPath, streamProtocol } from "../contract/stream.ts";
import { type Admitting, type Authenticate, requireCaller } from "./authenticate.ts";
import { type Connection, openConnection } from "./connection.ts";
import { HttpError, problemType, toProblem } from "./problem.ts";
import type { StreamOffice } from "./stream-request.ts";
import type { TicketOffice } from "./tickets.ts";

export type Stream = {
  /** Answers a request to speak WebSocket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  readonly connections: number;
  readonly subscriptions: number;
  /** Closes every connection in good order. */
  stop(): Promise<void>;
  /** Closes what is left without ceremony. */
  terminate(): Promise<void>;
};

export type StreamOptions = {
  readonly office: StreamOffice;
  readonly authenticate: Authenticate;
  readonly admitting: Admitting;
  readonly tickets: TicketOffice;
  readonly guardOrigin: (headers: IncomingMessage["headers"]) => void;
  /** How often a silent connection is asked whether it is there. */
  readonly ping_ms: number;
};

/** `GET /stream`: admits WebSockets that speak our protocol and show a token or a ticket. */
export function createStream({
  office,
  authenticate,
  admitting,
  tickets,
  guardOrigin,
  ping_ms,
}: StreamOptions): Stream {
  const open = new Set<Connection>();
  let stopping = false;
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: Math.max(office.config.batch_body_bytes, office.config.body_bytes),
    handleProtocols: () => streamProtocol,
  });
  const pinging = setInterval(() => {
    for (const connection of open) connection.checkAlive();
  }, ping_ms);
  pinging.unref();

  const admit = (request: IncomingMessage): Caller => {
    if (stopping) throw new BusError("unavailable", "the server is stopping", { retry_after_ms: 1_000 });
    guardOrigin(request.headers);
    const { pathname, searchParams } = new URL(request.url ?? "", "http://hive");
    if (pathname !== streamPath) {
      throw new BusError("operation_not_found", `WebSockets open at ${streamPath}, not at ${pathname.slice(0, 200)}`);
    }
    if (request.method !== "GET") throw new HttpError(405, "operation_not_found", "a WebSocket opens with GET");
    requireProtocol(request);
    return admitting(request.socket.remoteAddress, () => callerOf(request, searchParams));
  };

  const callerOf = ({ headers }: IncomingMessage, query: URLSearchParams): Caller => {
    const ticket = query.get("ticket");
    if (ticket === null) return requireCaller(authenticate, headers);
    const caller = tickets.redeem(ticket);
    if (caller) return caller;
    throw new BusError("unauthenticated", "this ticket was used, is older than 30 s, or never was; ask for a new one");
  };

  return {
    upgrade(request, socket, head) {
      // Until the handshake is done nobody else listens, and an error nobody listens to would end the process.
      const onError = () => socket.destroy();
      socket.on("error", onError);
      try {
        const caller = admit(request);
        webSockets.handleUpgrade(request, socket, head, (ws) => {
          socket.off("error", onError);
          const connection = openConnection(ws, socket, caller, office);
          open.add(connection);
          office.log.debug({ actor: caller.actor }, "stream opened");
          void connection.closed.then(() => {
            open.delete(connection);
            office.log.debug({ actor: caller.actor }, "stream closed");
          });
        });
      } catch (error) {
        refuse(socket, error, office);
      }
    },
    get connections() {
      return open.size;
    },
    get subscriptions() {
      let subscriptions = 0;
      for (const connection of open) subscriptions += connection.subscriptions;
      return subscriptions;
    },
    async stop() {
      stopping = true;
      await Promise.all([...open].map((connection) => connection.stop()));
    },
    async terminate() {
      clearInterval(pinging);
      for (const connection of open) connection.terminate();
      await Promise.all([...open].map(({ closed }) => closed));
    },
  };
}

function requireProtocol({ headers }: IncomingMessage): void {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((it) => it.trim());
  if (offered.includes(streamProtocol)) return;
  throw new BusError("invalid_input", `offer the subprotocol ${streamProtocol} (Sec-WebSocket-Protocol)`);
}

/** Says no in HTTP, which is what is spoken until the handshake is done. */
function refuse(socket: Duplex, error: unknown, { log, newRequestId, metrics }: StreamOffice): void {
  const request_id = newRequestId();
  const problem = toProblem(error, request_id);
  if (problem.code === "internal") log.error({ err: error, request_id }, "cannot open a stream");
  metrics.observe("stream", problem.code, 0);
  const body = JSON.stringify(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `Content-Type: ${problemType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    ...(problem.status === 401 ? ["WWW-Authenticate: Bearer"] : []),
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}
