import type { OperationName } from "../contract/routes.ts";
import { type Arguments, UsageError } from "./arguments.ts";

/** How an operation is said on the command line. */
export type CommandOfOperation = {
  readonly name: string;
  /** Other words people try first. */
  readonly also?: readonly string[];
  /** Fields that may be given as plain words, in order; `...` takes all the words that are left. */
  readonly words: readonly string[];
  /** Field → a shorter name for its flag. */
  readonly shorter?: Readonly<Record<string, string>>;
  /** Switches of the command alone: name → help. */
  readonly switches?: Readonly<Record<string, string>>;
  /** Whether it seals or opens messages, with the keys of this machine's agents. */
  readonly keys?: true;
  readonly examples: readonly (readonly [line: string, explanation: string])[];
  /** The last word on the input. @throws UsageError */
  readonly adjust?: (input: Record<string, unknown>, given: Arguments) => Record<string, unknown>;
};

const id = "0198c0de-0000-7000-8000-000000000001";

/** One row per operation: the compiler asks for a command where the bus learns something new. */
export const commandOfOperation: Readonly<Record<OperationName, CommandOfOperation>> = {
  sendMessage: {
    name: "send",
    words: ["to", "content..."],
    shorter: { from_agent: "from", message_type: "type", conversation_id: "conversation" },
    switches: {
      confirm: "Really send a broadcast to many agents",
      seal: "Seal it end to end: only the recipients can read it; needs --from, whose keys are here",
    },
    keys: true,
    adjust: addressed,
    examples: [
      [`send bob "Please review the login page" --from ada`, "one message to one agent"],
      [`send group:reviewers "Freeze at noon" --from ada --priority high`, "one message, a delivery for each member"],
      [`send capability:typescript "Fix the build" --from ada`, "the bus picks an agent that can"],
      ["git diff | hivepost send bob - --from ada", "the text comes from standard input"],
      [`send bob "The password is in the vault" --from ada --seal`, "nobody but bob can read it, not even the server"],
      ["send bob --from ada -- -n is a flag", "after a bare -- everything is text"],
    ],
  },
  sendMessages: {
    name: "send-many",
    words: ["messages"],
    examples: [["send-many @messages.json", "a JSON array of messages, each as for send"]],
  },
  importMessages: {
    name: "import",
    words: ["messages"],
    examples: [["import @history.json", "what was said elsewhere; found by search, never delivered"]],
  },
  claimMessages: {
    name: "claim",
    also: ["receive", "fetch", "read", "next"],
    words: ["agent_id"],
    keys: true,
    shorter: { wait_ms: "wait", lease_ms: "lease", agent_id: "agent" },
    examples: [
      ["claim bob", "the most pressing message of bob's inbox, if there is one"],
      ["claim bob --limit 10 --wait 30s", "up to ten; waits up to 30 seconds for the first"],
    ],
  },
  acknowledgeMessages: {
    name: "ack-many",
    words: ["acknowledgements"],
    examples: [["ack-many @done.json", "a JSON array of {message_id, lease_id}"]],
  },
  acknowledgeMessage: {
    name: "ack",
    also: ["acknowledge", "done"],
    words: ["message_id", "lease_id"],
    examples: [[`ack ${id} LEASE`, "claim prints this line, ready to copy"]],
  },
  rejectMessage: {
    name: "reject",
    also: ["nack"],
    words: ["message_id", "lease_id", "reason..."],
    shorter: { delay_ms: "delay" },
    examples: [[`reject ${id} LEASE "no access to the repository" --delay 1m`, "it is tried again in a minute"]],
  },
  extendLease: {
    name: "extend",
    words: ["message_id", "lease_id", "lease_ms"],
    shorter: { lease_ms: "lease" },
    examples: [[`extend ${id} LEASE 5m`, "five minutes more, from now"]],
  },
  recordEvidence: {
    name: "evidence",
    words: ["message_id", "lease_id", "event", "reason..."],
    examples: [[`evidence ${id} LEASE seen`, "the agent has taken it up"]],
  },
  getMessage: {
    name: "show",
    also: ["get", "message"],
    words: ["message_id"],
    keys: true,
    examples: [[`show ${id}`, "the message, its deliveries and its ledger"]],
  },
  searchMessages: {
    name: "search",
    also: ["find", "history", "messages"],
    words: ["q..."],
    keys: true,
    shorter: { from_agent: "from", to_agent: "to", message_type: "type", conversation_id: "conversation" },
    examples: [
      ["search login page", "messages that hold both words"],
      ["search --participant ada --with bob --order asc", "everything ada and bob said to each other"],
      ["search --state ready --since 2h", "accepted in the last two hours, not yet claimed"],
      ["search --metadata.ticket 42", "messages whose metadata has ticket: 42"],
    ],
  },
  createConversation: {
    name: "open",
    words: ["participants..."],
    examples: [["open ada bob cleo", "a conversation of three; its id goes into send --conversation"]],
  },
  listConversations: {
    name: "conversations",
    words: ["participant"],
    examples: [["conversations ada --status active", "what ada is talking about"]],
  },
  getConversation: {
    name: "conversation",
    words: ["conversation_id"],
    shorter: { conversation_id: "conversation" },
    examples: [[`conversation ${id}`, "participants, status and last activity"]],
  },
  updateConversation: {
    name: "set-conversation",
    also: ["close", "archive", "reopen"],
    words: ["conversation_id", "status"],
    shorter: { conversation_id: "conversation" },
    examples: [[`set-conversation ${id} closed`, "nobody can send to it until it is set active again"]],
  },
  getInbox: {
    name: "inbox",
    words: ["agent_id"],
    shorter: { agent_id: "agent" },
    examples: [["inbox bob", "how much waits, since when, and why it is not delivered"]],
  },
  listDeadLetters: {
    name: "dead",
    also: ["dead-letters"],
    words: ["agent_id"],
    shorter: { agent_id: "agent" },
    examples: [["dead", "what was given up lately, and why"]],
  },
  redriveDeadLetters: {
    name: "redrive",
    words: ["message_ids..."],
    shorter: { agent_id: "agent" },
    switches: { all: "Every dead or held message of the hive" },
    adjust: chosen,
    examples: [
      [`redrive ${id}`, "try this one again"],
      ["redrive --agent bob", "everything that died in bob's inbox"],
    ],
  },
  registerAgent: {
    name: "register",
    words: ["agent_id"],
    shorter: { agent_id: "agent", capabilities: "can", groups: "group", aliases: "alias" },
    examples: [
      ["register bob", "now messages can be sent to bob"],
      ["register bob --can typescript:8 --can review --group reviewers", "and found by what he can do"],
    ],
  },
  listAgents: {
    name: "agents",
    words: [],
    examples: [["agents --health alive", "who is there"]],
  },
  getAgent: {
    name: "agent",
    words: ["agent_id"],
    shorter: { agent_id: "agent" },
    examples: [["agent bob", "what is known of bob"]],
  },
  getAgentKeys: {
    name: "agent-keys show",
    words: ["agent_id"],
    shorter: { agent_id: "agent" },
    examples: [["agent-keys show bob", "the fingerprint that bob reads out to you by another way than this bus"]],
  },
  removeAgent: {
    name: "remove",
    also: ["unregister"],
    words: ["agent_id"],
    shorter: { agent_id: "agent" },
    examples: [["remove bob", "what still waits for bob becomes dead letters"]],
  },
  heartbeat: {
    name: "heartbeat",
    words: ["agent_id"],
    shorter: { agent_id: "agent", current_task: "task" },
    examples: [[`heartbeat bob --status busy --task "login page"`, "bob is alive and at work"]],
  },
  createToken: {
    name: "token create",
    words: ["agent_id"],
    shorter: { agent_id: "agent", scopes: "scope", expires_at: "expires" },
    adjust: scoped,
    examples: [
      ["token create bob", "acts as bob and nothing else; give it to bob's program as HIVEPOST_TOKEN"],
      ["token create --scope observe --expires 30d", "reads everything for a month"],
    ],
  },
  listTokens: {
    name: "token list",
    also: ["tokens"],
    words: ["agent_id"],
    shorter: { agent_id: "agent" },
    examples: [["token list", "who holds one, and when it was last used"]],
  },
  revokeToken: {
    name: "token revoke",
    words: ["key_id"],
    shorter: { key_id: "key" },
    examples: [["token revoke 7Zk3QpX0a1B", "void at once; what is connected with it is cut off"]],
  },
  getKeys: {
    name: "keys status",
    also: ["keys"],
    words: [],
    examples: [["keys status", "which keys there are, and how far sealing anew has got"]],
  },
  rotateKeys: {
    name: "keys rotate",
    words: [],
    examples: [["keys rotate", "from now on under a new key; keys reencrypt has it seal the old messages too"]],
  },
  rewrapKeys: {
    name: "keys rewrap",
    words: ["key_file"],
    examples: [
      ["keys rewrap", "a new master key in the place of the old one, which is kept beside it"],
      ["keys rewrap /mnt/usb/hive.key", "go over to another file; start with HIVEPOST_MASTER_KEY_FILE from then on"],
    ],
  },
  reencryptMessages: {
    name: "keys reencrypt",
    words: [],
    examples: [["keys reencrypt", "seal what older keys have sealed under the newest, while mail flows"]],
  },
  readAudit: {
    name: "audit",
    words: ["event"],
    examples: [
      ["audit --since 2h", "what was done to tokens, keys, agents and history, and what was refused"],
      ["audit access_denied --actor bob", "what bob asked for and may not"],
    ],
  },
  health: {
    name: "health",
    also: ["status", "ping"],
    words: [],
    examples: [["health", "whether the server works"]],
  },
};

/** A plain agent named by `--to` or as a word goes into `to_agent`. */
function addressed(input: Record<string, unknown>, given: Arguments): Record<string, unknown> {
  const { to, ...rest } = input;
  if (to === undefined && rest["to_agent"] === undefined) {
    throw new UsageError("send needs a recipient: an agent, group:NAME, capability:NAME or broadcast");
  }
  if (rest["content"] === undefined && rest["sealed"] === undefined) {
    throw new UsageError("send needs the content, as a word or with --content");
  }
  if (typeof to === "string") return { ...rest, to_agent: to };
  const confirmed = given.flags.has("confirm") && typeof to === "object" && to !== null && "broadcast" in to;
  return confirmed ? { ...rest, to: { ...to, confirm: true } } : input;
}

/** An empty redrive would mean the whole hive: that has to be said. */
function chosen(input: Record<string, unknown>, given: Arguments): Record<string, unknown> {
  if (Object.keys(input).length > 0 || given.flags.has("all")) return input;
  throw new UsageError("redrive wants message ids, --agent NAME, or --all for every dead or held message");
}

/** A token for an agent is what is mostly wanted. */
function scoped(input: Record<string, unknown>): Record<string, unknown> {
  if (input["scopes"] !== undefined) return input;
  if (input["agent_id"] !== undefined) return { ...input, scopes: ["agent"] };
  throw new UsageError("say whose token it is to be, as in: token create bob; or what it may do: --scope observe");
}
