import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { AuditLog } from "../app/audit.ts";
import { createLockout } from "../app/lockout.ts";
import type { Caller, Mailroom } from "../app/mailroom.ts";
import type { StoreStatus } from "../app/ports.ts";
import { createRateLimits } from "../app/rate-limits.ts";
import { type Clock, startRealTimer, systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type Config, listed } from "../config.ts";
import { operations } from "../contract/operations.ts";
import type { OperationName } from "../contract/routes.ts";
import type { RenewedCertificate } from "../tls/renewal.ts";
import { type Authenticate, createDoorkeeper, notingFailures } from "./authenticate.ts";
import { type Connections, watchConnections } from "./connections.ts";
import { createHttp } from "./http.ts";
import { requireGuardedAddress } from "./listener.ts";
import { addMcp } from "./mcp.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { originGuard } from "./origin.ts";
import { addPages } from "./pages.ts";
import { addRoutes } from "./rest.ts";
import { securityHeaders } from "./security-headers.ts";
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
  /** The certificate to speak TLS with; the caller owns it. */
  readonly tls?: RenewedCertificate | undefined;
  readonly clock?: Clock;
  readonly timing?: Partial<Timing>;
};

/** A server that listens. Disposing it stops it in good order, within `config.stop_ms`. */
export type RunningServer = AsyncDisposable & { readonly url: string; readonly port: number };

/** Puts the bus on the network: REST, WebSocket, MCP, metrics and the pages that explain them, on one port. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { mailroom, config, log, version, tls, clock = systemClock } = options;
  await requireGuardedAddress(config, { tls: tls !== undefined });
  const timing = { ...patience, ...options.timing };
  const newRequestId = requestIds();
  const guards = {
    guardOrigin: originGuard({ config, tls }),
    securityHeaders: securityHeaders({ tls: tls !== undefined }),
  };
  const scheme = tls ? "https" : "http";
  const stopping = new AbortController();
  const admitting = notingFailures(options.audit);
  const tickets = createTicketOffice(clock);
  const metrics: Metrics = createMetrics({
    status: options.status,
    connections: () => ({ http: connections.open - stream.connections, websocket: stream.connections }),
    subscriptions: () => stream.subscriptions,
    refusedConnections: () => connections.refused,
  });
  const onLimited = metrics.limited;
  const rates = createRateLimits({ config, clock, startTimer: startRealTimer, onLimited });
  const lockout = createLockout({ config, clock, onLockedOut: metrics.lockedOut });
  const doorkeeper = createDoorkeeper(options.authenticate, lockout);
  const office = { mailroom, rates, config, clock, log, metrics, newRequestId };
  const stream: Stream = createStream({
    office,
    doorkeeper,
    admitting,
    tickets,
    ...guards,
    ping_ms: timing.ping_ms,
  });

  const app = createHttp({ config, log, metrics, timing, newRequestId, ...guards, tls, stopping: stopping.signal });
  const mustCall = (request: FastifyRequest) => admitting(request.ip, () => doorkeeper.requireCaller(request.raw));
  const mayCall = (request: FastifyRequest, name: OperationName): Caller =>
    isOpen(name) ? admitting(request.ip, () => doorkeeper.callerOrAnyone(request.raw)) : mustCall(request);
  addRoutes(app, { mailroom, rates, config, log, authenticate: mayCall, stopping: stopping.signal });
  addMcp(app, { mailroom, rates, config, log, version, authenticate: mustCall, stopping: stopping.signal });
  addPages(app, { authenticate: mustCall, metrics, tickets, version, addressOf: addressReader(config, scheme) });
  const connections: Connections = watchConnections(app.server);
  app.server.on("upgrade", stream.upgrade);
  try {
    await app.listen({ host: config.host, port: config.port });
  } catch (error) {
    await stream.terminate();
    throw error;
  }
  const { port } = app.server.address() as AddressInfo;
  const url = `${scheme}://${config.host.includes(":") ? `[${config.host}]` : config.host}:${port}`;
  log.info({ url }, "listening");
  if (config.insecure && !tls) log.warn({ url }, "without TLS, tokens and mail can be read and changed on the way");
  return {
    url,
    port,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      connections.closeSilent();
      await stop(app, { stream, connections, stop_ms: config.stop_ms, log });
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

/** A proxy's scheme is known where the operator has named the origin that it gives this server. */
function addressReader({ allowed_origins }: Config, scheme: string) {
  const secure = new Set(listed(allowed_origins));
  return ({ headers: { host } }: FastifyRequest): string =>
    secure.has(`https://${host}`) ? `https://${host}` : `${scheme}://${host}`;
}

type Stopping = {
  readonly stream: Stream;
  readonly connections: Connections;
  readonly stop_ms: number;
  readonly log: Log;
};

/** No new connections; what is under way may finish; and after `stop_ms` what is left is cut off. */
async function stop(app: FastifyInstance, { stream, connections, stop_ms, log }: Stopping): Promise<void> {
  log.info({ connections: stream.connections, stop_ms }, "stopping");
  const cutOff = setTimeout(() => {
    log.warn({ connections: stream.connections }, "some connections did not end in time; cutting them off");
    connections.closeAll();
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
