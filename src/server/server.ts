import { randomBytes } from "node:crypto";
import type { Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { AuditLog } from "../app/audit.ts";
import type { Caller, Mailroom } from "../app/mailroom.ts";
import type { StoreStatus } from "../app/ports.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config.ts";
import { operations } from "../contract/operations.ts";
import type { OperationName } from "../contract/routes.ts";
import { type Authenticate, callerOrAnyone, notingFailures, requireCaller } from "./authenticate.ts";
import { createHttp } from "./http.ts";
import { addMcp } from "./mcp.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { originGuard } from "./origin.ts";
import { addPages } from "./pages.ts";
import { addRoutes } from "./rest.ts";
import { createStream, type Stream } from "./stream.ts";
import { createTicketOffice } from "./tickets.ts";
import { patience, type Timing } from "./timing.ts";

export type ServerOptions = {
  readonly mailroom: Mailroom;
  /** Hears of every token and ticket that is refused. */
  readonly audit: Pick<AuditLog, "count">;
  readonly config: Config;
  readonly authenticate: Authenticate;
  /** For `/metrics`, which is the only reader of its observations. */
  readonly status: () => Promise<StoreStatus>;
  readonly log: Log;
  readonly version: string;
  readonly clock?: Clock;
  readonly timing?: Partial<Timing>;
};

/** A server that listens. Disposing it stops it in good order, within `config.stop_ms`. */
export type RunningServer = AsyncDisposable & { readonly url: string; readonly port: number };

/** Puts the bus on the network: REST, WebSocket, MCP, metrics and the pages that explain them, on one port. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { mailroom, config, authenticate, log, version, clock = systemClock } = options;
  const timing = { ...patience, ...options.timing };
  const newRequestId = requestIds();
  const guardOrigin = originGuard(config.host);
  const stopping = new AbortController();
  const admitting = notingFailures(options.audit);
  const tickets = createTicketOffice(clock);
  const metrics: Metrics = createMetrics({
    status: options.status,
    connections: () => ({ http: connections.open - stream.connections, websocket: stream.connections }),
    subscriptions: () => stream.subscriptions,
    refusedConnections: () => connections.refused,
  });
  const office = { mailroom, config, clock, log, metrics, newRequestId };
  const stream: Stream = createStream({
    office,
    authenticate,
    admitting,
    tickets,
    guardOrigin,
    ping_ms: timing.ping_ms,
  });

  const app = createHttp({ config, log, metrics, timing, newRequestId, guardOrigin, stopping: stopping.signal });
  const mustCall = (request: FastifyRequest) =>
    admitting(request.ip, () => requireCaller(authenticate, request.headers));
  const mayCall = (request: FastifyRequest, name: OperationName): Caller =>
    isOpen(name) ? admitting(request.ip, () => callerOrAnyone(authenticate, request.headers)) : mustCall(request);
  addRoutes(app, { mailroom, config, log, authenticate: mayCall, stopping: stopping.signal });
  addMcp(app, { mailroom, config, log, version, authenticate: mustCall, stopping: stopping.signal });
  addPages(app, { authenticate: mustCall, metrics, tickets, version });
  const connections = watchConnections(app.server);
  app.server.on("upgrade", stream.upgrade);
  try {
    await app.listen({ host: config.host, port: config.port });
  } catch (error) {
    await stream.terminate();
    throw error;
  }
  const { port } = app.server.address() as AddressInfo;
  const url = `http://${config.host.includes(":") ? `[${config.host}]` : config.host}:${port}`;
  log.info({ url }, "listening");
  return {
    url,
    port,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      connections.closeSilent();
      await stop(app, stream, { stop_ms: config.stop_ms, log });
    },
  };
}

function isOpen(name: OperationName): boolean {
  return (operations[name].scopes as readonly string[]).includes("open");
}

/** Short, and different from those of any other run, so that one finds its line in a log that spans restarts. */
function requestIds(): () => string {
  const run = randomBytes(4).toString("hex");
  let count = 0;
  return () => `${run}-${++count}`;
}

function watchConnections(server: Server) {
  const open = new Set<Socket>();
  let refused = 0;
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  server.on("drop", () => {
    refused += 1;
  });
  return {
    get open() {
      return open.size;
    },
    /** Closed at once because there were too many. */
    get refused() {
      return refused;
    },
    /** Closes those on which nothing was ever asked, which HTTP does not count as idle. */
    closeSilent() {
      for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
    },
  };
}

/** No new connections; what is under way may finish; and after `stop_ms` what is left is cut off. */
async function stop(
  app: FastifyInstance,
  stream: Stream,
  { stop_ms, log }: { readonly stop_ms: number; readonly log: Log },
): Promise<void> {
  log.info({ connections: stream.connections, stop_ms }, "stopping");
  const cutOff = setTimeout(() => {
    log.warn({ connections: stream.connections }, "some connections did not end in time; cutting them off");
    app.server.closeAllConnections();
    void stream.terminate();
  }, stop_ms);
  const closed = app.close();
  app.server.closeIdleConnections();
  await stream.stop();
  await stream.terminate();
  await closed;
  clearTimeout(cutOff);
  log.info({}, "stopped");
}
