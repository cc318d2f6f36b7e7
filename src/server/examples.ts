import type { Agent } from "../contract/agents.ts";
import type { Conversation } from "../contract/conversations.ts";
import type { KeyStatus } from "../contract/keys.ts";
import type {
  AgentId,
  ConversationId,
  Cursor,
  DeliveryStatus,
  LeaseId,
  Message,
  MessageId,
} from "../contract/messages.ts";
import type { Input, Output } from "../contract/operations.ts";
import type { PublicKeys } from "../contract/public-keys.ts";
import type { OperationName } from "../contract/routes.ts";
import type { TokenInfo } from "../contract/tokens.ts";

type Example<Name extends OperationName> = { readonly input: Input<Name>; readonly output: Output<Name> };

const ada = "ada" as AgentId;
const bob = "bob" as AgentId;
const message_id = "019b8d4e-7c00-7a31-9f1e-5b2c8d6e4f10" as MessageId;
const conversation_id = "019b8d4e-7c00-7a32-8b5d-0c1d2e3f4a5b" as ConversationId;
const lease_id = "7f3a-000000000001" as LeaseId;
const cursor = "eyJhZnRlciI6NDJ9" as Cursor;
const sent_at = "2026-01-05T09:00:00.000Z";
const claimed_at = "2026-01-05T09:00:02.000Z";
const lease_expires_at = "2026-01-05T09:00:32.000Z";

const message: Message = {
  id: message_id,
  from_agent: ada,
  to_agent: bob,
  content: "The build is red since 4f2e1c. Can you look at it?",
  priority: "high",
  timestamp: sent_at,
  acknowledged: false,
  conversation_id,
  message_type: "question",
  metadata: { ticket: 42 },
  when: "turn",
  offline: "hold",
  provenance: { actor: ada, token: "agent", trust: "agent" },
};
const key_status: KeyStatus = {
  hive_id: "0b6c1f0e-52c4-4a39-9d5e-6f1f7b1f2a10",
  master_key: "master-1f0c33a2b96d4e75",
  master_key_source: "the key file /home/ada/.config/hivepost/0b6c1f0e-52c4-4a39-9d5e-6f1f7b1f2a10.key",
  epoch: 1,
  rotation_due: false,
  keys: [
    { key_id: "5f0d6c1b2a394857", purpose: "content", epoch: 1, created_at: sent_at, seals: 48_000 },
    { key_id: "91c2d3e4f5061728", purpose: "index", epoch: 1, created_at: sent_at, seals: 0 },
  ],
  reencryption: { running: false, share: 1, messages: 0 },
};
const conversation: Conversation = {
  id: conversation_id,
  participants: [ada, bob],
  created_at: sent_at,
  last_activity: sent_at,
  status: "active",
};
const agent: Agent = {
  agent_id: bob,
  capabilities: [{ name: "typescript", level: 8 }],
  groups: ["backend"],
  aliases: [],
  metadata: {},
  registered_at: "2026-01-05T08:55:00.000Z",
  status: "available",
  health: "alive",
  last_seen_at: claimed_at,
};
const keys: PublicKeys = {
  encryption: {
    kty: "OKP",
    crv: "X25519",
    x: "1OFfGHPe3pKa9-yuPnvGumniSQi7nE7HjeSFscMcUwA",
    kid: "vq3xNcMRBY2tf0yKOjRGf5Kq3WU7q9dZ21re0XRg-z8",
  },
  signing: {
    kty: "OKP",
    crv: "Ed25519",
    x: "Szvl7Hg7STnb1KDdQrmCWvhFbzfPQBnj2ayH7F-Ngiw",
    kid: "P6PrxCKbHYQfX0BZxgl8NR2akVr178LSaW51xITZ1J4",
  },
  created_at: "2026-01-05T09:00:00.000Z",
};
const leased: DeliveryStatus = { message_id, agent_id: bob, state: "leased", attempt: 1, lease_id, lease_expires_at };
const token_info: TokenInfo = {
  key_id: "7Zk3QpX0a1B",
  scopes: ["agent"],
  agent_id: bob,
  created_at: sent_at,
  created_by: "operator",
};
const depth = { ready: 0, scheduled: 0, leased: 0, held: 0 };

/** One realistic call of each operation, for the documentation. A test holds them to the schemas. */
export const examples: { readonly [Name in OperationName]: Example<Name> } = {
  sendMessage: {
    input: {
      to_agent: bob,
      content: message.content,
      priority: "high",
      message_type: "question",
      metadata: { ticket: 42 },
    },
    output: message,
  },
  sendMessages: {
    input: {
      messages: [
        { to_agent: bob, content: "One." },
        { to: { group: "backend" }, content: "Two." },
      ],
    },
    output: {
      results: [
        { ok: true, message: { ...message, content: "One.", priority: "normal", message_type: "task", metadata: {} } },
        { ok: false, error: { code: "group_empty", message: "no agent is in the group backend" } },
      ],
    },
  },
  importMessages: {
    input: {
      messages: [{ from_agent: ada, to_agent: bob, content: "Said before.", timestamp: "2025-12-24T18:00:00.000Z" }],
    },
    output: { imported: 1, already_present: 0 },
  },
  claimMessages: {
    input: { agent_id: bob, limit: 10, wait_ms: 30_000 },
    output: { deliveries: [{ message, agent_id: bob, lease_id, lease_expires_at, attempt: 1 }] },
  },
  acknowledgeMessages: {
    input: { acknowledgements: [{ message_id, lease_id }] },
    output: { results: [{ message_id, acknowledged: true }] },
  },
  acknowledgeMessage: { input: { message_id, lease_id }, output: { acknowledged: true } },
  rejectMessage: {
    input: { message_id, lease_id, reason: "needs a machine with a GPU", delay_ms: 60_000 },
    output: {
      message_id,
      agent_id: bob,
      state: "scheduled",
      attempt: 1,
      available_at: "2026-01-05T09:01:02.000Z",
      reason: "needs a machine with a GPU",
    },
  },
  extendLease: {
    input: { message_id, lease_id, lease_ms: 120_000 },
    output: { ...leased, lease_expires_at: "2026-01-05T09:02:20.000Z" },
  },
  recordEvidence: { input: { message_id, lease_id, event: "seen" }, output: leased },
  getMessage: {
    input: { message_id },
    output: {
      ...message,
      deliveries: [leased],
      ledger: [
        { at: sent_at, event: "accepted", actor: "ada" },
        { at: sent_at, event: "ready", actor: "ada", agent_id: bob },
        { at: claimed_at, event: "leased", actor: "bob", agent_id: bob },
      ],
    },
  },
  searchMessages: {
    input: { participant: ada, q: "build red", "metadata.ticket": "42", limit: 50 } as Input<"searchMessages">,
    output: { messages: [message], next_cursor: cursor },
  },
  createConversation: { input: { participants: [ada, bob] }, output: conversation },
  listConversations: { input: { participant: ada, status: "active" }, output: { conversations: [conversation] } },
  getConversation: { input: { conversation_id }, output: conversation },
  updateConversation: {
    input: { conversation_id, status: "archived" },
    output: { ...conversation, status: "archived" },
  },
  getInbox: {
    input: { agent_id: bob },
    output: {
      agent_id: bob,
      depth: { urgent: depth, high: { ...depth, leased: 1 }, normal: depth, low: depth },
      total: 1,
      dead: 0,
      limit: 10_000,
      oldest_age_ms: 20_000,
      next_lease_expires_at: lease_expires_at,
      explanation: ["1 leased and not yet acknowledged; the next lease ends in 12 s."],
    },
  },
  listDeadLetters: {
    input: { agent_id: bob, limit: 50 },
    output: {
      dead_letters: [
        { message, agent_id: bob, attempt: 5, reason: "no attempts left", died_at: "2026-01-05T09:20:00.000Z" },
      ],
    },
  },
  redriveDeadLetters: { input: { agent_id: bob }, output: { redriven: 1, message_ids: [message_id] } },
  registerAgent: {
    input: { agent_id: bob, capabilities: [{ name: "typescript", level: 8 }], groups: ["backend"] },
    output: agent,
  },
  listAgents: { input: { capability: "typescript", health: "alive" }, output: { agents: [agent] } },
  getAgent: { input: { agent_id: bob }, output: agent },
  getAgentKeys: {
    input: { agent_id: bob },
    output: { agent_id: bob, keys, fingerprint: "BDD7-AWQ2-AEWV-XZM6-D632-A5AO-MUIM-IUI3" },
  },
  removeAgent: { input: { agent_id: bob }, output: { removed: true, dead: 0 } },
  heartbeat: {
    input: { agent_id: bob, status: "busy", load: 0.7, current_task: "reviewing #42" },
    output: { ...agent, status: "busy", load: 0.7, current_task: "reviewing #42" },
  },
  createToken: {
    input: { scopes: ["agent"], agent_id: bob },
    output: {
      ...token_info,
      token: "hvp_agent_7Zk3QpX0a1B_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg_000000",
    },
  },
  listTokens: { input: {}, output: { tokens: [{ ...token_info, last_used_at: claimed_at }] } },
  revokeToken: { input: { key_id: token_info.key_id }, output: { ...token_info, revoked_at: claimed_at } },
  getKeys: { input: {}, output: key_status },
  rotateKeys: { input: {}, output: { ...key_status, epoch: 2 } },
  rewrapKeys: { input: {}, output: { ...key_status, master_key: "master-8c1d0b7e55a9f302" } },
  reencryptMessages: {
    input: {},
    output: { ...key_status, epoch: 2, reencryption: { running: true, share: 0.25, messages: 12_000 } },
  },
  readAudit: {
    input: { event: "agent_removed", limit: 50 },
    output: {
      entries: [
        {
          seq: 7,
          at: claimed_at,
          event: "agent_removed",
          actor: "operator",
          detail: { agent_id: "bob", dead: 0 },
          prev: "pW1xX0Wb0uWyA2zJmJ8yYQm5m1nYw8m3H0c1oGq2b4Y",
          mac: "3rUu0n3a4b1zC7dVw2mJx8k0s9q5t6y7u8i9o0pA1sD",
        },
      ],
      next_cursor: cursor,
    },
  },
  health: { input: {}, output: { status: "ok" } },
};
