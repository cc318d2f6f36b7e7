import { openAccess } from "../../src/app/access.ts";
import { type AuditLog, openAuditLog } from "../../src/app/audit.ts";
import { createMailroom } from "../../src/app/bus.ts";
import type { Call, Mailroom } from "../../src/app/mailroom.ts";
import type { Store } from "../../src/app/ports.ts";
import type { Clock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { type Config, deliveryPolicy } from "../../src/config.ts";
import { BusError, type ErrorCode } from "../../src/contract/errors.ts";
import type { Bus } from "../../src/contract/operations.ts";
import { fillRoute, type OperationName, operationNames } from "../../src/contract/routes.ts";
import type { DeliveryPolicy } from "../../src/core/messaging/policy.ts";
import { type RunningServer, startServer } from "../../src/server/server.ts";
import { openMemoryAudit } from "../../src/stores/memory/audit.ts";
import { clockAt, type TestClock, testConfig } from "./fixtures.ts";
import { openTestKeys } from "./hive-keys.ts";

export type OpenStore = (options: { clock: Clock; policy: DeliveryPolicy }) => Store | Promise<Store>;

/** A mailroom on a store of its own, on a clock that moves when told. */
export type OpenMailroom = AsyncDisposable & {
  readonly mailroom: Mailroom & AsyncDisposable;
  readonly audit: AuditLog;
  readonly clock: TestClock;
  readonly config: Config;
};

export const operatorCall: Call = { caller: { actor: "operator", scopes: ["admin"] } };

export async function openMailroom(
  openStore: OpenStore,
  settings: Partial<Config> = {},
  clock = clockAt(),
): Promise<OpenMailroom> {
  const config = testConfig(settings);
  await using opened = new AsyncDisposableStack();
  const store = opened.use(await openStore({ clock, policy: deliveryPolicy(config) }));
  const audit = opened.use(openAuditLog({ store: openMemoryAudit(), clock, log: silentLog }));
  const randomBytes = (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes);
  const access = opened.use(await openAccess({ tokens: store.tokens, clock, randomBytes, log: silentLog }));
  const keys = opened.use(await openTestKeys(store, { clock, audit }));
  const mailroom = opened.use(
    createMailroom({ store, access, keys, audit, clock, config, randomBytes, log: silentLog, version: "test" }),
  );
  const owned = opened.move();
  return { mailroom, audit, clock, config, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Accepts one token, which stands for an operator. */
export const testToken = "test-token";

/** Puts a mailroom on a free port. */
export function serveMailroom({ mailroom, audit, config, clock }: OpenMailroom): Promise<RunningServer> {
  return startServer({
    mailroom,
    audit,
    config: { ...config, port: 0, stop_ms: 500 },
    authenticate: (token) => (token === testToken ? operatorCall.caller : undefined),
    status: () => mailroom.status(),
    log: silentLog,
    version: "test",
    clock,
  });
}

/** The bus in this process, as one caller has it. */
export function calledBy(mailroom: Mailroom, call: Call): Bus {
  return busOf((name, input) => (mailroom[name] as (input: object, call: Call) => Promise<unknown>)(input, call));
}

/** The bus over plain HTTP, as `curl` would have it. */
export function restBus(url: string): Bus {
  return busOf(async (name, input) => {
    const { method, path, rest } = fillRoute(name, input as Record<string, unknown>);
    const query = method === "GET" ? `?${new URLSearchParams(rest as Record<string, string>)}` : "";
    const hasBody = method !== "GET" && method !== "DELETE";
    const response = await fetch(url + path + query, {
      method,
      headers: { authorization: `Bearer ${testToken}`, ...(hasBody && { "content-type": "application/json" }) },
      ...(hasBody && { body: JSON.stringify(rest) }),
    });
    const answer = (await response.json()) as { code: ErrorCode; detail: string };
    if (response.ok) return answer;
    const retry_after_s = Number(response.headers.get("retry-after") ?? 0);
    throw new BusError(answer.code, answer.detail, { retry_after_ms: retry_after_s * 1_000 });
  });
}

function busOf(call: (name: OperationName, input: object) => Promise<unknown>): Bus {
  return Object.fromEntries(
    operationNames.map((name) => [name, (input: object) => call(name, input)]),
  ) as unknown as Bus;
}
