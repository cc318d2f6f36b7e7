import assert from "node:assert/strict";
import { openAccess } from "../../src/app/access.ts";
import { openAuditLog } from "../../src/app/audit.ts";
import { createMailroom } from "../../src/app/bus.ts";
import type { Caller, Mailroom } from "../../src/app/mailroom.ts";
import type { StoreStatus } from "../../src/app/ports.ts";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { type Config, deliveryPolicy } from "../../src/config.ts";
import type { ErrorCode } from "../../src/contract/errors.ts";
import { startServer } from "../../src/server/server.ts";
import type { Timing } from "../../src/server/timing.ts";
import { openMemoryAudit } from "../../src/stores/memory/audit.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import type { RenewedCertificate } from "../../src/tls/renewal.ts";
import { ada, bob, testConfig } from "../support/fixtures.ts";
import { openTestKeys } from "../support/hive-keys.ts";

export const token = "hvp_test_operator";
export const agentToken = "hvp_test_ada";
/** Tokens that have a key id, and so are limited. */
export const limitedToken = "hvp_test_limited_ada";
export const otherLimitedToken = "hvp_test_limited_bob";

const callers = new Map<string, Caller>([
  [token, { actor: "operator", scopes: ["admin"] }],
  [agentToken, { actor: "ada", scopes: ["agent"], agent_id: ada }],
  [limitedToken, { actor: "ada", scopes: ["agent"], agent_id: ada, key_id: "key-ada" }],
  [otherLimitedToken, { actor: "bob", scopes: ["agent"], agent_id: bob, key_id: "key-bob" }],
]);

export type TestHive = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  readonly mailroom: Mailroom;
  /** Calls with the operator's token unless `headers` say otherwise; a body that is not text is sent as JSON. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
};

export type CallOptions = { readonly body?: unknown; readonly headers?: Readonly<Record<string, string | undefined>> };
export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any answer.
  readonly body: any;
};

type Options = {
  readonly config?: Partial<Config>;
  readonly timing?: Partial<Timing>;
  readonly log?: Log;
  /** Of the server; the bus behind it lives in real time. */
  readonly clock?: Clock;
  /** Speaks TLS with it. */
  readonly tls?: RenewedCertificate;
  /** Puts something between the server and the bus. */
  readonly wrap?: (mailroom: Mailroom) => Mailroom;
  /** Changes what the store says of itself. */
  readonly status?: (status: StoreStatus) => StoreStatus;
};

/** A server on a free port over a bus in memory, where ada and bob are registered. */
export async function startHive({
  config: overrides = {},
  timing,
  tls,
  log = silentLog,
  clock: serverClock = systemClock,
  wrap,
  status: restate = (it) => it,
}: Options = {}): Promise<TestHive> {
  const config = testConfig({ port: 0, stop_ms: 3_000, ...overrides });
  await using opened = new AsyncDisposableStack();
  const clock = systemClock;
  const store = opened.use(openMemoryStore({ clock, policy: deliveryPolicy(config) }));
  const audit = opened.use(openAuditLog({ store: openMemoryAudit(), clock, log }));
  const randomBytes = (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes);
  const access = opened.use(await openAccess({ tokens: store.tokens, clock, randomBytes, log }));
  const keys = opened.use(await openTestKeys(store, { clock, audit }));
  const bus = opened.use(
    createMailroom({ store, access, keys, audit, clock, config, randomBytes, log, version: "1.2.3" }),
  );
  const caller: Caller = { actor: "operator", scopes: ["admin"] };
  for (const agent_id of [ada, bob]) await bus.registerAgent({ agent_id }, { caller });
  const mailroom = wrap?.(bus) ?? bus;
  const status = async () => restate(await bus.status());
  const authenticate = (it: string) => callers.get(it);
  const server = opened.use(
    await startServer({
      mailroom,
      audit,
      config,
      authenticate,
      status,
      log,
      clock: serverClock,
      version: "1.2.3",
      tls,
      ...(timing && { timing }),
    }),
  );
  const running = opened.move();
  return {
    url: server.url,
    port: server.port,
    mailroom: bus,
    call: (method, path, options) => call(server.url, { method, path, ...options }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function call(url: string, { method, path, body, headers = {} }: { method: string; path: string } & CallOptions) {
  const all: Record<string, string | undefined> = { authorization: `Bearer ${token}`, ...headers };
  if (body !== undefined) all["content-type"] ??= "application/json";
  const sent = Object.entries(all).filter((it): it is [string, string] => it[1] !== undefined);
  const answer = await fetch(url + path, {
    method,
    headers: sent,
    redirect: "manual",
    ...(body !== undefined && { body: isRaw(body) ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  const isJson = answer.headers.get("content-type")?.includes("json") && text !== "";
  return { status: answer.status, headers: answer.headers, text, body: isJson ? JSON.parse(text) : undefined };
}

function isRaw(body: unknown): body is string | Uint8Array<ArrayBuffer> {
  return typeof body === "string" || body instanceof Uint8Array;
}

/** The problem document that a request is refused with. */
export async function refusal(answer: Promise<Answer>): Promise<{ status: number; code: ErrorCode; detail: string }> {
  const { status, headers, body } = await answer;
  assert.match(headers.get("content-type") ?? "", /^application\/problem\+json/);
  return { status, code: body.code, detail: body.detail };
}
