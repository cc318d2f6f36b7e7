import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Caller, Mailroom } from "../app/mailroom.ts";
import type { RateLimits } from "../app/rate-limits.ts";
import type { RateReport } from "../app/rate-report.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config.ts";
import { BusError } from "../contract/errors.ts";
import type { OperationName } from "../contract/routes.ts";
import { callerOf, setCaller } from "./http.ts";
import { performOperation } from "./perform-operation.ts";
import { isExpected, toStreamError } from "./problem.ts";
import { rateHeaders } from "./rate-headers.ts";

type McpOptions = {
  readonly mailroom: Mailroom;
  readonly rates: RateLimits;
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  readonly authenticate: (request: FastifyRequest) => Caller;
  readonly stopping: AbortSignal;
};

/** `POST /mcp`: streamable HTTP without sessions, one JSON answer per request; who calls is known by the token. */
export function addMcp(
  app: FastifyInstance,
  { mailroom, rates, config, log, version, authenticate, stopping }: McpOptions,
): void {
  app.route({
    method: "POST",
    url: "/mcp",
    bodyLimit: config.batch_body_bytes,
    onRequest: (request, _reply, done) => {
      setCaller(request, authenticate(request));
      done();
    },
    handler: async (request, reply) => {
      const caller = callerOf(request);
      const { id: request_id } = request;
      const perform = async (name: OperationName, input: unknown, signal: AbortSignal) => {
        const onRate = (report: RateReport) => void reply.headers(rateHeaders(report));
        const call = { caller, onRate, signal: AbortSignal.any([signal, stopping]) };
        return performOperation({ mailroom, rates }, name, input, call);
      };
      const { createMcpServer, WebStandardStreamableHTTPServerTransport } = await loadMcp();
      const server = createMcpServer((...call) => perform(...call).catch(toExpected(request_id, log)), {
        version,
        randomBytes: (bytes) => crypto.getRandomValues(bytes),
      });
      const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
      await server.connect(transport);
      // Closing aborts what waits for a client that has gone.
      reply.raw.once("close", () => void server.close());
      const answer = await transport.handleRequest(toWebRequest(request), { parsedBody: request.body });
      return reply
        .code(answer.status)
        .headers(Object.fromEntries(answer.headers))
        .send(await answer.text());
    },
  });
}

/** Read when first asked for: the SDK takes 18 MiB and a good part of the time to start, and many hives never need it. */
async function loadMcp() {
  const [tools, transports] = await Promise.all([
    import("../mcp/tools.ts"),
    import("@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js"),
  ]);
  return { ...tools, ...transports };
}

function toWebRequest({ headers, raw }: FastifyRequest): Request {
  const given = Object.entries(headers).filter((it): it is [string, string] => typeof it[1] === "string");
  return new Request(new URL(raw.url ?? "", "http://hive"), { method: "POST", headers: given });
}

function toExpected(request_id: string, log: Log) {
  return (error: unknown): never => {
    if (isExpected(error)) throw error;
    log.error({ err: error, request_id }, "operation failed unexpectedly");
    throw new BusError("internal", toStreamError(error, request_id).message);
  };
}
