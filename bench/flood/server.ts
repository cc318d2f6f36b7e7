import { createMailroom } from "../../src/app/bus.ts";
import { openFirstToken } from "../../src/app/first-token.ts";
import { systemClock } from "../../src/base/clock.ts";
import { deliveryPolicy, loadConfig } from "../../src/config.ts";
import type { AgentId } from "../../src/contract/messages.ts";
import { openLog } from "../../src/server/log.ts";
import { startServer } from "../../src/server/server.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { flooder } from "../load/flooder.ts";

/*
 * Hivepost as `serve.ts` puts it together, with the token of one agent besides, who is limited as agents are.
 * `node bench/flood/server.ts FOLDER`
 */

const config = loadConfig({ data_dir: process.argv[2], port: "0", log_level: "warn" }, {});
const log = openLog(config.log_level, process.stderr);
const clock = systemClock;
const version = "bench";
const randomBytes = (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes);
const ended = Promise.withResolvers<unknown>();
process.once("SIGTERM", ended.resolve);

await using store = await openSqliteStore({
  folder: config.data_dir,
  clock,
  policy: deliveryPolicy(config),
  log,
  retention_ms: config.retention_ms,
  onFatal: ended.resolve,
});
const { authenticate } = await openFirstToken(config.data_dir, randomBytes);
await using mailroom = createMailroom({ store, clock, config, randomBytes, log, version });
await mailroom.registerAgent(
  { agent_id: flooder.agent_id as AgentId },
  { caller: { actor: "operator", scopes: ["admin"] } },
);
const agent = {
  actor: flooder.agent_id,
  agent_id: flooder.agent_id as AgentId,
  scopes: ["agent"],
  key_id: "flooder",
} as const;
await using server = await startServer({
  mailroom,
  config,
  authenticate: (token) => (token === flooder.token ? agent : authenticate(token)),
  status: () => mailroom.status(),
  log,
  version,
});
process.stdout.write(`listening on ${server.url}\n`);
await ended.promise;
