import type { Call, Caller, Mailroom } from "../app/mailroom.ts";
import type { RateLimits } from "../app/rate-limits.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config.ts";
import { BusError } from "../contract/errors.ts";
import { isOperationName, type OperationName } from "../contract/routes.ts";
import type { StreamOperation } from "../contract/stream.ts";
import type { ConnectionMail } from "./connection-mail.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { outputText } from "./json-text.ts";
import type { Load } from "./load.ts";
import type { Metrics } from "./metrics.ts";
import type { OpenLeases } from "./open-leases.ts";
import { performOperation } from "./perform-operation.ts";
import { isExpected, toStreamError } from "./problem.ts";
import type { ReceivedFrame } from "./request-frame.ts";
import { checkStreamInput, isStreamOperation } from "./stream-input.ts";

/** What every connection of a server shares. */
export type StreamOffice = {
  readonly mailroom: Mailroom;
  readonly rates: RateLimits;
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly newRequestId: () => string;
};

/** One connection, as far as requests go. */
export type Link = {
  readonly office: StreamOffice;
  readonly caller: Caller;
  readonly writer: FrameWriter;
  readonly mail: ConnectionMail;
  readonly leases: OpenLeases;
  readonly load: Load;
  readonly call: Call;
  /** For what waits: it returns early when the other side has gone. */
  readonly waitingCall: Call;
  stopping: boolean;
};

type Request = ReceivedFrame & { readonly size_bytes: number; readonly started_ms: number };

const batchOperations: ReadonlySet<string> = new Set<OperationName>(["sendMessages", "importMessages"]);

/** Carries out one request and answers it; requests overlap, and answers come as they are ready. */
export function serveRequest(link: Link, frame: ReceivedFrame, size_bytes: number): void {
  const request: Request = { ...frame, size_bytes, started_ms: link.office.clock.elapsed() };
  link.load.begin(size_bytes);
  void perform(link, request)
    .catch((error: unknown) => answerError(link, request, error))
    .finally(() => link.load.end(size_bytes));
}

async function perform(link: Link, request: Request): Promise<void> {
  const { op, input, size_bytes } = request;
  const { rates, config } = link.office;
  if (link.stopping) {
    if (op === "health") return answer(link, request, '{"status":"stopping"}');
    throw new BusError("unavailable", "the server is stopping; connect again in a moment", { retry_after_ms: 1_000 });
  }
  requireSize(op, size_bytes, config);
  if (isStreamOperation(op)) return performOnStream(link, request, op);
  if (!isOperationName(op)) {
    await rates.admit(op, input, link.call);
    throw new BusError("operation_not_found", `there is no operation ${JSON.stringify(op.slice(0, 60))}`);
  }
  const output = await performOperation(link.office, op, input, op === "claimMessages" ? link.waitingCall : link.call);
  link.leases.note(op, input, output);
  answer(link, request, outputText(op, output));
}

async function performOnStream(link: Link, request: Request, op: StreamOperation): Promise<void> {
  const { input } = request;
  await link.office.rates.admit(op, input, link.call);
  checkStreamInput(op, input);
  const operation = link.mail[op] as (input: unknown, reply: object) => Promise<void>;
  return operation(input, {
    answer: (output: object = {}) => answer(link, request, JSON.stringify(output)),
    fail: (error: unknown) => answerError(link, request, error),
  });
}

function requireSize(op: string, size_bytes: number, { body_bytes }: Config): void {
  if (size_bytes <= body_bytes || batchOperations.has(op)) return;
  throw new BusError(
    "body_too_large",
    `this frame has ${size_bytes} bytes; ${op.slice(0, 60)} takes at most ${body_bytes}`,
  );
}

function answer({ office, writer }: Link, { id, op, started_ms }: Request, output: string): void {
  writer.send(`{"id":${id},"ok":true,"output":${output}}`);
  office.metrics.observe(op, "ok", office.clock.elapsed() - started_ms);
}

function answerError({ office, writer, caller }: Link, { id, op, started_ms }: Request, error: unknown): void {
  const { log, metrics, clock, newRequestId } = office;
  const request_id = newRequestId();
  if (!isExpected(error)) log.error({ err: error, operation: op, actor: caller.actor, request_id }, "operation failed");
  const told = toStreamError(error, request_id);
  writer.send(JSON.stringify({ id, ok: false, error: told }));
  metrics.observe(
    isOperationName(op) || isStreamOperation(op) ? op : "unknown",
    told.code,
    clock.elapsed() - started_ms,
  );
}
