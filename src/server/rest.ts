import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Call, Caller, Mailroom } from "../app/mailroom.ts";
import type { RateLimits } from "../app/rate-limits.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config.ts";
import { BusError } from "../contract/errors.ts";
import type { Delivery, Message } from "../contract/messages.ts";
import { type Output, operations } from "../contract/operations.ts";
import { type OperationName, operationNames, splitRoute } from "../contract/routes.ts";
import { callerOf, type RouteConfig, setCaller } from "./http.ts";
import { outputText } from "./json-text.ts";
import { performOperation } from "./perform-operation.ts";
import { queryOf } from "./plain-request.ts";
import { type QueryReader, queryReader } from "./query.ts";
import { rateHeaders } from "./rate-headers.ts";

export type RestOptions = {
  readonly mailroom: Mailroom;
  readonly rates: RateLimits;
  readonly config: Config;
  /** Who sends a request, by its token; `open` operations need none. */
  readonly authenticate: (request: FastifyRequest, name: OperationName) => Caller;
  /** Aborts when the server stops: nobody waits any longer, and nothing new begins. */
  readonly stopping: AbortSignal;
  readonly log: Log;
};

type Fields = Readonly<Record<string, unknown>>;

const batchOperations: ReadonlySet<OperationName> = new Set<OperationName>(["sendMessages", "importMessages"]);
export const jsonType = "application/json; charset=utf-8";

/** Every operation of the table under its route. */
export function addRoutes(app: FastifyInstance, options: RestOptions): void {
  for (const name of operationNames) {
    const { method, template } = splitRoute(name);
    const readQuery = queryReader(name);
    const { status = 200 } = operations[name] as { status?: number };
    app.route({
      method,
      url: toFastifyPath(template),
      bodyLimit: batchOperations.has(name) ? options.config.batch_body_bytes : options.config.body_bytes,
      config: { operation: name } satisfies RouteConfig,
      // Before the body is read: who may not call shall not make us parse.
      onRequest: (request, _reply, done) => {
        setCaller(request, options.authenticate(request, name));
        done();
      },
      handler: async (request, reply) => {
        const input = readInput(name, request, readQuery);
        const output = await operate(name, input, { request, reply, options });
        if (name === "sendMessage") reply.header("location", `/messages/${(output as Message).id}`);
        return reply.code(status).header("content-type", jsonType).send(outputText(name, output));
      },
    });
  }
}

export function toFastifyPath(template: string): string {
  return template.replace(/\{(\w+)\}/g, ":$1");
}

type Exchange = { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly options: RestOptions };

async function operate(name: OperationName, input: unknown, { request, reply, options }: Exchange): Promise<unknown> {
  const { stopping } = options;
  if (stopping.aborted) {
    if (name === "health") return { status: "stopping" };
    throw new BusError("unavailable", "the server is stopping; try again in a moment", { retry_after_ms: 1_000 });
  }
  if (name === "claimMessages") return claim(input, { request, reply, options });
  return performOperation(options, name, input, callOf(request, reply));
}

function callOf(request: FastifyRequest, reply: FastifyReply): Call {
  return { caller: callerOf(request), onRate: (report) => void reply.headers(rateHeaders(report)) };
}

/** A claim may wait, and whoever asked may go away meanwhile: then the mail is for others, at once. */
async function claim(input: unknown, { request, reply, options }: Exchange): Promise<unknown> {
  const { mailroom, stopping, log } = options;
  const gone = new AbortController();
  let claimed: readonly Delivery[] = [];
  reply.raw.once("close", () => {
    if (reply.raw.writableFinished) return;
    gone.abort();
    giveBack(mailroom, claimed).catch((error: unknown) => {
      // The leases end by themselves in time.
      log.error({ err: error, request_id: request.id }, "cannot give back the leases of a closed connection");
    });
  });
  const signal = AbortSignal.any([gone.signal, stopping]);
  const output = await performOperation(options, "claimMessages", input, { ...callOf(request, reply), signal });
  claimed = (output as Output<"claimMessages">).deliveries;
  if (gone.signal.aborted) await giveBack(mailroom, claimed);
  return output;
}

async function giveBack(mailroom: Mailroom, claimed: readonly Delivery[]): Promise<void> {
  if (claimed.length === 0) return;
  const leases = claimed.map(({ lease_id }) => lease_id);
  await mailroom.releaseLeases(leases, "the claimer's connection closed; lease returned");
}

/** Puts an operation's input together from path, query, body and, for `sendMessage`, the Idempotency-Key header. */
function readInput(name: OperationName, request: FastifyRequest, readQuery: QueryReader): Fields {
  const input = { ...readQuery(queryOf(request.raw.url ?? "")), ...readBody(name, request) };
  requireSame(name, input, request.params as Fields);
  Object.assign(input, request.params);
  const idempotency_key = request.headers["idempotency-key"];
  if (idempotency_key === undefined) return input;
  if (name === "sendMessages") {
    throw new BusError("invalid_input", "Idempotency-Key goes with one message; here give each its idempotency_key");
  }
  if (name !== "sendMessage") return input;
  requireSame(name, input, { idempotency_key });
  return { ...input, idempotency_key };
}

function readBody(name: OperationName, { body, headers, method }: FastifyRequest): Fields {
  if (method === "GET" || method === "HEAD" || method === "DELETE") {
    const has_body = body != null || Number(headers["content-length"] ?? 0) > 0 || headers["transfer-encoding"];
    if (has_body) throw new BusError("invalid_input", `${name}: this request takes no body, only path and query`);
    return {};
  }
  if (body == null) return {};
  if (typeof body !== "object" || Array.isArray(body)) {
    throw new BusError("invalid_input", `${name}: expected a JSON object`);
  }
  return body as Fields;
}

/** What is said twice must be said the same. */
function requireSame(name: OperationName, input: Fields, elsewhere: Fields): void {
  for (const [field, value] of Object.entries(elsewhere)) {
    if (!Object.hasOwn(input, field) || input[field] === value) continue;
    throw new BusError("invalid_input", `${name}: /${field}: the body and the path or header say different things`);
  }
}
