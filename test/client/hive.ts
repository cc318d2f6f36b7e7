import { openAccess } from "../../src/app/access.ts";
import { openAuditLog } from "../../src/app/audit.ts";
import { createMailroom } from "../../src/app/bus.ts";
import type { Caller, Mailroom } from "../../src/app/mailroom.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { type Config, deliveryPolicy } from "../../src/config.ts";
import { type RunningServer, startServer } from "../../src/server/server.ts";
import { openMemoryAudit } from "../../src/stores/memory/audit.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import type { RenewedCertificate } from "../../src/tls/renewal.ts";
import { ada, testConfig } from "../support/fixtures.ts";
import { openTestKeys } from "../support/hive-keys.ts";

const version = "0.0.0-test";

/** A real server on a store in memory, which can be stopped and started again on the same port with the same mail. */
export type Hive = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  readonly token: string;
  /** The bus behind it, for looking at things past the network. */
  readonly mailroom: Mailroom;
  start(): Promise<void>;
  stop(): Promise<void>;
};

export const token = "hvp_test_token";
/** Of an agent, so what it may ask is limited. */
export const limitedToken = "hvp_test_ada";

const callers = new Map<string, Caller>([
  [token, { actor: "operator", scopes: ["admin"] }],
  [limitedToken, { actor: "ada", scopes: ["agent"], agent_id: ada, key_id: "key-ada" }],
]);

export async function startHive(overrides: Partial<Config> = {}, tls?: RenewedCertificate): Promise<Hive> {
  const config = testConfig({ port: 0, stop_ms: 500, max_attempts: 1_000, backoff_base_ms: 1, ...overrides });
  const policy = deliveryPolicy({ ...config, retry: retryOf(config) });
  await using opened = new AsyncDisposableStack();
  const store = opened.use(openMemoryStore({ clock: systemClock, policy }));
  const randomBytes = (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes);
  const access = opened.use(
    await openAccess({ tokens: store.tokens, clock: systemClock, randomBytes, log: silentLog }),
  );
  const audit = opened.use(openAuditLog({ store: openMemoryAudit(), clock: systemClock, log: silentLog }));
  const mailroom = opened.use(
    createMailroom({
      store,
      access,
      audit,
      keys: opened.use(await openTestKeys(store, { clock: systemClock, audit })),
      clock: systemClock,
      config,
      randomBytes,
      log: silentLog,
      version,
    }),
  );
  const listen = (port: number) =>
    startServer({
      mailroom,
      audit,
      config: { ...config, port },
      authenticate: (shown) => callers.get(shown),
      status: () => store.status(),
      log: silentLog,
      version,
      tls,
    });
  let server: RunningServer | undefined = await listen(0);
  const { url, port } = server;
  const rest = opened.move();
  const stop = async () => {
    const running = server;
    server = undefined;
    await running?.[Symbol.asyncDispose]();
  };
  return {
    url,
    port,
    token,
    mailroom,
    stop,
    async start() {
      server ??= await listen(port);
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await rest.disposeAsync();
    },
  };
}

/** The general rule for every message type: what `testConfig` holds was worked out before the overrides. */
function retryOf({ max_attempts, backoff_base_ms, backoff_max_ms }: Config): Config["retry"] {
  const general = { max_attempts, base_delay_ms: backoff_base_ms, max_delay_ms: backoff_max_ms };
  return { task: general, status: general, question: general, response: general };
}

/** As the operator, past the network. */
export const operatorCall = { caller: { actor: "operator", scopes: ["admin"] } } as const;
