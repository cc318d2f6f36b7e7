// How many messages of 1 KiB can one agent seal and open per second, and per core, and how much of that is the cryptography's own?
import type { webcrypto } from "node:crypto";
import { createUuidV7 } from "../src/base/uuid.ts";
import type { AgentId, ConversationId, MessageId } from "../src/contract/messages.ts";
import { sealConversationKey, sealWithConversationKey } from "../src/crypto/sealed/conversation-key.ts";
import { makeAgentKeys, publicKeysOf } from "../src/crypto/sealed/keys.ts";
import { open } from "../src/crypto/sealed/open.ts";
import { seal } from "../src/crypto/sealed/seal.ts";
import { figuresOf, runBench } from "./measure/bench.ts";

/** Pieces of work done, by wall time and by processor time over all threads. */
type Pace = { readonly per_s: number; readonly per_core_s: number };
type Round = Readonly<Record<"seal" | "open" | "seal_shared" | "open_shared" | "agreement", Pace>>;

/** Enough that a thread of the pool is never without work; WebCrypto has four. */
const in_flight = 8;

await runBench<Round>({
  name: "sealed",
  question: "End-to-end sealing, 1 KiB to one recipient, 8 in flight in one process: messages sealed and opened",
  rounds: 2,
  seconds: 4,
  async round({ seconds }) {
    const each_ms = (seconds * 1_000) / 5;
    const work = await prepare();
    return {
      seal: await pace(work.seal, each_ms),
      open: await pace(work.open, each_ms),
      seal_shared: await pace(work.sealShared, each_ms),
      open_shared: await pace(work.openShared, each_ms),
      agreement: await pace(work.agree, each_ms),
    };
  },
  figures(rounds) {
    const figure = figuresOf(rounds);
    return [
      figure("sealed per core", "messages/s", (it) => it.seal.per_core_s, { at_least: 1_000 }),
      figure("opened per core", "messages/s", (it) => it.open.per_core_s, { at_least: 1_000 }),
      figure("sealed", "messages/s", (it) => it.seal.per_s),
      figure("opened", "messages/s", (it) => it.open.per_s),
      figure("sealed with a conversation's key, per core", "messages/s", (it) => it.seal_shared.per_core_s),
      figure("opened with a conversation's key, per core", "messages/s", (it) => it.open_shared.per_core_s),
      figure("bare X25519 key pairs and agreements, per core", "pairs/s", (it) => it.agreement.per_core_s),
    ];
  },
});

async function prepare() {
  const now_ms = Date.now();
  const [ada, bob] = [await makeAgentKeys(now_ms), await makeAgentKeys(now_ms)];
  const newId = createUuidV7(Date.now, (bytes) => crypto.getRandomValues(bytes));
  const sealed_at = new Date(now_ms).toISOString();
  // Ids and names as the contract brands them.
  const conversation_id = newId() as ConversationId;
  const from = "ada" as AgentId;
  const recipients = [{ agent_id: "bob" as AgentId, keys: publicKeysOf(bob) }];
  const payload = { content: "x".repeat(1_024), metadata: {} };
  const id = newId() as MessageId;
  const message = { message_id: id, conversation_id, from, to: "bob", recipients, sealed_at, payload };
  const { key } = await sealConversationKey(
    { id, conversation_id, epoch: 1, from, members: recipients, sealed_at },
    ada,
  );
  const envelope = { id, conversation_id, from_agent: from, to_agent: "bob", timestamp: sealed_at };
  const keys = { own_keys: [bob], sender_keys: [publicKeysOf(ada)], conversation_keys: [key] };
  const sealed = await seal(message, ada);
  const sealedShared = await sealWithConversationKey(message, key, ada);
  const other = await newPair();
  return {
    seal: () => seal(message, ada),
    open: () => open(sealed, envelope, keys),
    sealShared: () => sealWithConversationKey(message, key, ada),
    openShared: () => open(sealedShared, envelope, keys),
    async agree() {
      const { privateKey } = await newPair();
      await crypto.subtle.deriveBits({ name: "X25519", public: other.publicKey }, privateKey, 256);
    },
  };
}

async function newPair() {
  // X25519 is asymmetric: never one key alone.
  return (await crypto.subtle.generateKey("X25519", false, ["deriveBits"])) as webcrypto.CryptoKeyPair;
}

async function pace(work: () => Promise<unknown>, for_ms: number): Promise<Pace> {
  const started_ms = performance.now();
  const cpu = process.cpuUsage();
  let done = 0;
  const lane = async () => {
    while (performance.now() - started_ms < for_ms) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: in_flight }, lane));
  const wall_s = (performance.now() - started_ms) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { per_s: done / wall_s, per_core_s: done / ((user + system) / 1_000_000) };
}
