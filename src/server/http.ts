import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Caller } from "../app/mailroom.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config.ts";
import { BusError, type ErrorCode, errorStatus } from "../contract/errors.ts";
import type { OperationName } from "../contract/routes.ts";
import type { RenewedCertificate } from "../tls/renewal.ts";
import { corsHeaders } from "./cors.ts";
import { createListener } from "./listener.ts";
import type { Metrics } from "./metrics.ts";
import type { GuardOrigin } from "./origin.ts";
import { parseJsonBytes, requireWellFormed } from "./parse-json.ts";
import { pathOf, requirePlainRequest } from "./plain-request.ts";
import { HttpError, isExpected, type Problem, problemHeaders, problemType, toProblem } from "./problem.ts";
import { problemAnswer, type SecurityHeaders } from "./security-headers.ts";
import type { Timing } from "./timing.ts";

export type HttpOptions = {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly timing: Timing;
  readonly newRequestId: () => string;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
  readonly guardOrigin: GuardOrigin;
  readonly securityHeaders: SecurityHeaders;
  readonly tls: RenewedCertificate | undefined;
};

/** An HTTP server that answers nothing yet but errors: limits, JSON, headers, request ids, problems and the log. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const { config, timing, newRequestId, log, guardOrigin, securityHeaders, tls } = options;
  const app = fastify({
    logger: false,
    genReqId: newRequestId,
    bodyLimit: config.body_bytes,
    forceCloseConnections: false,
    return503OnClosing: false,
    serverFactory: (handler) => createListener(handler, { timing, tls }),
    routerOptions: {
      // Longer than any id, so that our own schema says what is wrong with one that is too long.
      maxParamLength: 1_024,
      // Each route reads its own query, strictly.
      querystringParser: () => ({}),
    },
    // Before any hook has run.
    frameworkErrors: (error, request, reply) =>
      sendProblem(
        reply.headers(securityHeaders(request)),
        fromFastify(error),
        toProblem(fromFastify(error), request.id),
      ),
    clientErrorHandler: (error, socket) => refuseMalformed(error, socket, { newRequestId, securityHeaders }),
  });
  app.server.maxConnections = config.connections;
  acceptJson(app);
  app.decorateRequest("caller", undefined);
  // The code that was answered, for the metrics.
  app.decorateRequest("told", "ok");
  app.addHook("onRequest", (request, reply, done) => {
    reply.headers(securityHeaders(request)).header("x-request-id", request.id);
    requirePlainRequest(request.raw);
    const foreign = guardOrigin(request.headers);
    if (foreign !== undefined) reply.headers(corsHeaders(foreign, request.raw));
    done();
  });
  app.addHook("onSend", (_request, reply, payload, done) => {
    // Closed at once, a connection on which the client still writes is reset, and the answer may be lost with it. Kept, the
    // rest of the body is read and thrown away, for as long as a request may take.
    if (reply.statusCode === errorStatus.body_too_large) reply.removeHeader("connection");
    // A connection kept alive after its last answer would hold up the stop.
    if (options.stopping.aborted) reply.header("connection", "close");
    done(null, payload);
  });
  app.addHook("onResponse", (request, reply, done) => {
    noteAnswer(request, reply, options);
    done();
  });
  app.setErrorHandler((error, request, reply) => answerError(error, request, { reply, log }));
  answerUnknownRoutes(app);
  return app;
}

/** What a route says of itself. */
export type RouteConfig = { readonly operation?: OperationName };

/** The caller that a route's `onRequest` has set, before the body was read. */
export function callerOf(request: FastifyRequest): Caller {
  return request.getDecorator<Caller>("caller");
}

export function setCaller(request: FastifyRequest, caller: Caller): void {
  request.setDecorator<Caller>("caller", caller);
}

function noteAnswer(request: FastifyRequest, reply: FastifyReply, { log, metrics }: HttpOptions): void {
  const { method, id: request_id, routeOptions } = request;
  const ms = Math.round(reply.elapsedTime * 1_000) / 1_000;
  const { operation } = routeOptions.config as RouteConfig;
  if (operation) metrics.observe(operation, request.getDecorator<ErrorCode | "ok">("told"), ms);
  // The route and not the URL: a URL may hold a ticket.
  log.debug({ request_id, method, route: routeOptions.url ?? "none", status: reply.statusCode, ms }, "answered");
}

/** Tells a path that does not exist from one that does, with other methods. */
function answerUnknownRoutes(app: FastifyInstance): void {
  const known = new Map<string, { readonly path: RegExp; readonly methods: Set<string> }>();
  app.addHook("onRoute", ({ url, method }) => {
    const route = known.get(url) ?? { path: new RegExp(`^${url.replace(/:\w+/g, "[^/]+")}$`), methods: new Set() };
    for (const it of [method].flat()) route.methods.add(it);
    known.set(url, route);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.raw.url ?? "");
    const methods = [...known.values()].filter((it) => it.path.test(path)).flatMap((it) => [...it.methods]);
    if (methods.length === 0) {
      throw new BusError(
        "operation_not_found",
        `there is nothing at ${request.method} ${path.slice(0, 200)}; see /docs`,
      );
    }
    const allow = [...new Set([...methods, "OPTIONS"])].join(", ");
    if (request.method === "OPTIONS") return reply.code(204).header("allow", allow).send();
    throw new HttpError(405, "operation_not_found", `${path} takes ${allow}, not ${request.method}; see /docs`, {
      allow,
    });
  });
}

/** Answers an error as a problem document; one that nobody expected is logged, and told without its details. */
function answerError(
  error: unknown,
  request: FastifyRequest,
  { reply, log }: { readonly reply: FastifyReply; readonly log: Log },
): FastifyReply {
  const known = fromFastify(error);
  if (!isExpected(known)) log.error({ err: error, request_id: request.id }, "request failed unexpectedly");
  const problem = toProblem(known, request.id);
  request.setDecorator("told", problem.code);
  return sendProblem(reply, known, problem);
}

function sendProblem(reply: FastifyReply, error: unknown, problem: Problem): FastifyReply {
  if (error instanceof HttpError) reply.headers(error.headers);
  reply.headers(problemHeaders(problem));
  return reply.code(problem.status).header("content-type", problemType).send(JSON.stringify(problem));
}

function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => {
    try {
      done(null, readJson(body as Buffer));
    } catch (error) {
      done(error as Error, undefined);
    }
  });
}

function readJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  const value = parseJsonBytes(body);
  requireWellFormed(value, body);
  return value;
}

/** Fastify's own complaints, in our words. */
function fromFastify(error: unknown): unknown {
  const { code, statusCode, message } = error as Partial<FastifyError>;
  switch (code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new BusError("body_too_large", "the body is larger than this operation takes; send less, or in batches");
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new HttpError(415, "invalid_input", "send JSON, with the header Content-Type: application/json");
    case "FST_ERR_BAD_URL":
      return new BusError("invalid_input", "the path holds a bad percent-encoding");
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new BusError("invalid_input", "the path holds an id that is longer than any id");
    default:
      if (error instanceof BusError || statusCode === undefined || statusCode >= 500) return error;
      return new HttpError(statusCode, "invalid_input", message ?? "bad request");
  }
}

/** What is not HTTP at all, or came too slowly: told in the words of HTTP, and the connection closed. */
function refuseMalformed(
  error: Error & { code?: string },
  socket: NodeJS.Socket & Destroyable,
  { newRequestId, securityHeaders }: Pick<HttpOptions, "newRequestId" | "securityHeaders">,
): void {
  const { code = "" } = error;
  // A failed handshake has no words in which an answer could be understood.
  if (code === "ECONNRESET" || /^(ERR_SSL|ERR_TLS|EPROTO)/.test(code) || !socket.writable) {
    socket.destroy();
    return;
  }
  const answer = problemAnswer(toProblem(malformed(code), newRequestId()), securityHeaders(undefined));
  socket.end(answer, () => socket.destroy());
}

type Destroyable = { destroy(): void; readonly writable: boolean };

function malformed(code: string): HttpError {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new HttpError(408, "invalid_input", "the request came too slowly");
  if (code === "HPE_HEADER_OVERFLOW") return new HttpError(431, "invalid_input", "the headers are too large");
  return new HttpError(400, "invalid_input", "this is not a well-formed HTTP request");
}
