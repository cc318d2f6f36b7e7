import assert from "node:assert/strict";
import path from "node:path";
import { type Client, connect } from "../../src/client/client.ts";
import { openKeyStore } from "../../src/client/key-store-node.ts";
import type { KeyStore } from "../../src/client/sealed/key-store.ts";
import { type SealedClient, type SealedClientOptions, sealedClient } from "../../src/client/sealed/sealed-client.ts";
import { type RunningHive, serve } from "../../src/serve.ts";
import { configurationFolder } from "../support/configuration.ts";
import { temporaryFolder } from "../support/fixtures.ts";

/** A real server on a real disk, and agents on machines of their own: each has its token, its folder of keys and its client. */
export type SealedHive = AsyncDisposable & {
  readonly url: string;
  readonly dataDir: string;
  /** As the operator, who sees what the server sees. */
  readonly operator: Client;
  /** Keeps its keys over calls: a second client of the same agent is another process on the same machine. */
  agent(agent_id: string, options?: Partial<SealedClientOptions>): Promise<SealedClient>;
  /** The agent's bus without any sealing. */
  bare(agent_id: string): Promise<Client>;
  keysOf(agent_id: string): KeyStore;
  keysFolder(agent_id: string): string;
  /** Stops the server, lets somebody at its files, and starts it again on the same port. */
  tamper(change: (dataDir: string) => void): Promise<void>;
};

export async function openSealedHive(): Promise<SealedHive> {
  await using opened = new AsyncDisposableStack();
  const folder = opened.use(await temporaryFolder());
  const dataDir = path.join(folder.path, "hive");
  const start = (port: string) =>
    serve({
      flags: { port, data_dir: dataDir, log_level: "silent", backoff_base_ms: "1", max_attempts: "3" },
      environment: { XDG_CONFIG_HOME: configurationFolder },
    });
  let hive: RunningHive = await start("0");
  opened.defer(() => hive[Symbol.asyncDispose]());
  const { url, token } = hive;
  const operator = opened.use(connect(url, { token, reconnect_max_ms: 20 }));
  const tokens = new Map<string, string>();
  const tokenOf = async (agent_id: string) => {
    const known = tokens.get(agent_id) ?? (await operator.createToken({ scopes: ["agent"], agent_id })).token;
    tokens.set(agent_id, known);
    return known;
  };
  const keysFolder = (agent_id: string) => path.join(folder.path, `keys-of-${agent_id}`);
  const keysOf = (agent_id: string) => openKeyStore(keysFolder(agent_id), Date.now);
  const bare = async (agent_id: string) =>
    owned.use(connect(url, { token: await tokenOf(agent_id), reconnect_max_ms: 20 }));
  const owned = opened.move();
  return {
    url,
    dataDir,
    operator,
    keysOf,
    keysFolder,
    bare,
    agent: async (agent_id, options = {}) =>
      sealedClient(await bare(agent_id), { agent_id, keys: keysOf(agent_id), ...options }),
    async tamper(change) {
      await hive[Symbol.asyncDispose]();
      change(dataDir);
      hive = await start(new URL(url).port);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Stands in every message that nobody but its readers may see. */
export const secret = "xyzzy-the-vault-opens-at-nine";

/** The one message that must be there, opened and acknowledged. */
export async function claimOne(client: SealedClient, agent_id: string) {
  const { deliveries, refused } = await client.claimMessages({ agent_id, limit: 10, wait_ms: 5_000 });
  assert.deepEqual(refused, []);
  assert.equal(deliveries.length, 1);
  const [delivery] = deliveries;
  assert.ok(delivery);
  await client.acknowledgeMessage({ message_id: delivery.message.id, lease_id: delivery.lease_id });
  return delivery.message;
}

/** The one delivery that must be there, and must be given back. */
export async function refusedOne(client: SealedClient, agent_id: string) {
  const { deliveries, refused } = await client.claimMessages({ agent_id, limit: 10, wait_ms: 5_000 });
  assert.deepEqual(deliveries, []);
  assert.equal(refused.length, 1);
  const [one] = refused;
  assert.ok(one);
  return one;
}
