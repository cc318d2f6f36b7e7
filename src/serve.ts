import { readFileSync } from "node:fs";
import { openAccess } from "./app/access.ts";
import { type AuditLog, openAuditLog } from "./app/audit.ts";
import { openAuditKey } from "./app/audit-key.ts";
import { createMailroom } from "./app/bus.ts";
import { openFirstToken } from "./app/first-token.ts";
import { openHiveKeys } from "./app/keys.ts";
import { configuredMasterKeys } from "./app/master-keys.ts";
import type { Store } from "./app/ports.ts";
import { type Clock, startRealTimer, systemClock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { RandomBytes } from "./base/uuid.ts";
import { deliveryPolicy, loadConfig } from "./config.ts";
import { openLog } from "./server/log.ts";
import { startServer } from "./server/server.ts";
import { openAuditFile } from "./stores/audit/file.ts";
import { openSqliteStore } from "./stores/sqlite/store.ts";
import { certificateFiles } from "./tls/certificate.ts";
import { followCertificate } from "./tls/renewal.ts";

type Source = Readonly<Record<string, string | undefined>>;

export type ServeOptions = {
  /** Settings by name, e.g. `{ port: "0" }`; they win over the environment and the config file. */
  readonly flags?: Source;
  readonly environment?: Source;
};

/** A server at work. Disposing it stops it gracefully: leases go back, what was accepted is on disk. */
export type RunningHive = AsyncDisposable & {
  readonly url: string;
  /** The first admin token. */
  readonly token: string;
  readonly dataDir: string;
  /** Where this start has made the master key; undefined where there was one. */
  readonly keyFileMade: string | undefined;
  /** Resolves if the disk fails so that nothing can be promised any more: dispose it, and end the process. */
  readonly failed: Promise<Error>;
};

/**
 * Introduces the parts to each other and starts them.
 *
 * @throws BusError for settings, folders and databases it cannot work with; the system's own error for a port in use.
 */
export async function serve({ flags, environment }: ServeOptions = {}): Promise<RunningHive> {
  const config = loadConfig(flags, environment);
  const log = openLog(config.log_level, process.stderr);
  const clock = systemClock;
  const randomBytes: RandomBytes = (bytes) => crypto.getRandomValues(bytes);
  const { data_dir: dataDir, retention_ms } = config;

  // What is opened here is closed in reverse order, also when a later step fails.
  await using opened = new AsyncDisposableStack();
  const files = certificateFiles(config);
  const tls = files && opened.use(followCertificate(files, { clock, log }));
  const failure = Promise.withResolvers<Error>();
  const policy = deliveryPolicy(config);
  const store = opened.use(
    await openSqliteStore({ folder: dataDir, clock, policy, log, retention_ms, onFatal: failure.resolve }),
  );
  const audit = opened.use(await openAudit({ folder: dataDir, store, clock, log, randomBytes }));
  let keyFileMade: string | undefined;
  const masterKeys = configuredMasterKeys({
    hive_id: store.keys.hive_id,
    config,
    environment: environment ?? process.env,
    randomBytes,
    onMade(file) {
      keyFileMade = file;
      log.warn({ file }, "made a master key; keep a copy: without it nothing can be read, and no backup holds it");
    },
  });
  const startTimer = startRealTimer;
  const keys = opened.use(
    await openHiveKeys({ store: store.keys, masterKeys, clock, startTimer, randomBytes, log, audit }),
  );
  const access = opened.use(await openAccess({ tokens: store.tokens, clock, randomBytes, log }));
  const token = await openFirstToken(dataDir, access, randomBytes);
  await audit.note({ event: "server_started", actor: "system", detail: { version } });
  opened.defer(() => audit.note({ event: "server_stopped", actor: "system" }));
  const mailroom = opened.use(createMailroom({ store, access, keys, audit, clock, config, randomBytes, log, version }));
  log.info({ data_dir: dataDir, version }, "opened the hive");
  const status = () => mailroom.status();
  const { authenticate } = access;
  const server = opened.use(await startServer({ mailroom, audit, config, authenticate, status, log, version, tls }));
  const running = opened.move();
  return {
    url: server.url,
    token,
    dataDir,
    keyFileMade,
    failed: failure.promise,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

type AuditOptions = {
  readonly folder: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly randomBytes: RandomBytes;
};

/** The audit log on its files; who opened the store holds the folder. */
async function openAudit({ folder, store, clock, log, randomBytes }: AuditOptions): Promise<AuditLog> {
  const key = await openAuditKey(folder, randomBytes);
  const files = await openAuditFile({ folder, key, head: store.auditHead, clock, log });
  const audit = openAuditLog({ store: files, clock, log });
  return {
    ...audit,
    async [Symbol.asyncDispose]() {
      await audit[Symbol.asyncDispose]();
      await files[Symbol.asyncDispose]();
    },
  };
}

/** As in package.json, which stands beside `src` and beside `dist`. */
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};
