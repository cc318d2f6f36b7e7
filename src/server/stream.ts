import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { Caller } from "../app/mailroom.ts";
import { BusError } from "../contract/errors.ts";
import { streamPath, streamProtocol } from "../contract/stream.ts";
import type { Admitting, Doorkeeper } from "./authenticate.ts";
import { type Connection, openConnection } from "./connection.ts";
import type { GuardOrigin } from "./origin.ts";
import { pathOf, queryOf, requirePlainRequest } from "./plain-request.ts";
import { HttpError, toProblem } from "./problem.ts";
import { problemAnswer, type SecurityHeaders } from "./security-headers.ts";
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
  readonly doorkeeper: Doorkeeper;
  readonly admitting: Admitting;
  readonly tickets: TicketOffice;
  readonly guardOrigin: GuardOrigin;
  readonly securityHeaders: SecurityHeaders;
  /** How often a silent connection is asked whether it is there. */
  readonly ping_ms: number;
};

/** `GET /stream`: admits WebSockets that speak our protocol and show a token or a ticket. */
export function createStream(options: StreamOptions): Stream {
  const { office, securityHeaders, ping_ms } = options;
  const open = new Set<Connection>();
  let stopping = false;
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: Math.max(office.config.batch_body_bytes, office.config.body_bytes),
    handleProtocols: () => streamProtocol,
  });
  const refuse = createRefusal(office, securityHeaders);
  webSockets.on("wsClientError", ({ message }, socket, request) =>
    refuse(request, socket, new HttpError(400, "invalid_input", `no WebSocket opens so: ${message}`)),
  );
  const pinging = setInterval(() => {
    for (const connection of open) connection.checkAlive();
  }, ping_ms);
  pinging.unref();

  const admit = admission(options);

  return {
    upgrade(request, socket, head) {
      // Until the handshake is done nobody else listens, and an error nobody listens to would end the process.
      const onError = () => socket.destroy();
      socket.on("error", onError);
      try {
        if (stopping) throw new BusError("unavailable", "the server is stopping", { retry_after_ms: 1_000 });
        const caller = admit(request);
        webSockets.handleUpgrade(request, socket, head, (ws) => {
          socket.off("error", onError);
          const connection = openConnection(ws, socket, caller, office);
          open.add(connection);
          caller.voided?.addEventListener("abort", connection.cutOff);
          office.log.debug({ actor: caller.actor }, "stream opened");
          void connection.closed.then(() => {
            open.delete(connection);
            caller.voided?.removeEventListener("abort", connection.cutOff);
            office.log.debug({ actor: caller.actor }, "stream closed");
          });
        });
      } catch (error) {
        refuse(request, socket, error);
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

/** Who asks to open a stream. @throws BusError where a stream is not opened so, or not to this caller. */
function admission({
  doorkeeper,
  admitting,
  tickets,
  guardOrigin,
}: StreamOptions): (request: IncomingMessage) => Caller {
  const callerOf = (request: IncomingMessage, query: URLSearchParams): Caller => {
    const ticket = query.get("ticket");
    if (ticket === null) return doorkeeper.requireCaller(request);
    const caller = tickets.redeem(ticket);
    if (caller) return caller;
    throw doorkeeper.turnAway(request, "this ticket was used, is older than 30 s, or never was; ask for a new one");
  };

  return (request) => {
    requirePlainRequest(request);
    guardOrigin(request.headers);
    const { url = "" } = request;
    const path = pathOf(url);
    if (path !== streamPath) {
      throw new BusError("operation_not_found", `WebSockets open at ${streamPath}, not at ${path.slice(0, 200)}`);
    }
    if (request.method !== "GET") throw new HttpError(405, "operation_not_found", "a WebSocket opens with GET");
    requireProtocol(request);
    return admitting(request.socket.remoteAddress, () => callerOf(request, new URLSearchParams(queryOf(url))));
  };
}

function requireProtocol({ headers }: IncomingMessage): void {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((it) => it.trim());
  if (offered.includes(streamProtocol)) return;
  throw new BusError("invalid_input", `offer the subprotocol ${streamProtocol} (Sec-WebSocket-Protocol)`);
}

/** Says no in HTTP, which is what is spoken until the handshake is done. */
function createRefusal({ log, newRequestId, metrics }: StreamOffice, securityHeaders: SecurityHeaders) {
  return (request: IncomingMessage, socket: Duplex, error: unknown): void => {
    const request_id = newRequestId();
    const problem = toProblem(error, request_id);
    if (problem.code === "internal") log.error({ err: error, request_id }, "cannot open a stream");
    metrics.observe("stream", problem.code, 0);
    socket.end(problemAnswer(problem, securityHeaders(request)), () => socket.destroy());
  };
}
