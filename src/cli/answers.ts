import { describeDuration } from "../base/time.ts";
import type { Agent } from "../contract/agents.ts";
import type { AuditEntry } from "../contract/audit.ts";
import type { Conversation } from "../contract/conversations.ts";
import type { KeyStatus } from "../contract/keys.ts";
import { type Delivery, type DeliveryStatus, type Message, priorities } from "../contract/messages.ts";
import type { Output } from "../contract/operations.ts";
import type { OperationName } from "../contract/routes.ts";
import type { TokenInfo } from "../contract/tokens.ts";
import { type Block, type Note, renderParts } from "../core/rendering/boundary.ts";
import { deadLetterBlocks, deliveryBlocks, messageBlocks, tracedMessageBlocks } from "../core/rendering/mail.ts";
import { jsonLine, visibleLine } from "../core/rendering/visible.ts";
import { counted, table } from "./print.ts";
import { programName } from "./program-name.ts";

type Printers = { readonly [Name in OperationName]: (output: Output<Name>, columns: number) => string };

/** Each operation's answer for a person: what happened, and what to do next. All of it is safe to print. */
const printers: Printers = {
  sendMessage: (message) => `sent ${message.id} to ${visibleLine(message.to_agent)} (${kindOf(message)})\n`,
  sendMessages: ({ results }) => results.map(sendResult).join(""),
  importMessages: (counts) => `imported ${counts.imported}, ${counts.already_present} were there already\n`,
  claimMessages: ({ deliveries }) =>
    deliveries.length === 0
      ? `nothing to claim now (${programName} inbox AGENT says why)\n`
      : rendered(deliveries.flatMap((it) => [...deliveryBlocks(it), nextStep(it)])),
  acknowledgeMessages: ({ results }) =>
    results
      .map((it) => `${it.message_id} ${it.acknowledged ? "acknowledged" : (it.reason ?? "not acknowledged")}\n`)
      .join(""),
  acknowledgeMessage: ({ acknowledged }) => (acknowledged ? "acknowledged\n" : leaseLost),
  rejectMessage: statusLine,
  extendLease: statusLine,
  recordEvidence: statusLine,
  getMessage: (message) => rendered(tracedMessageBlocks(message)),
  searchMessages: ({ messages, next_cursor }) =>
    messages.length === 0
      ? "no message found\n"
      : rendered(messages.flatMap((it) => messageBlocks(it))) + more(next_cursor),
  createConversation: (conversation) => `opened ${conversationLine(conversation)}`,
  listConversations: ({ conversations, next_cursor }) =>
    conversations.length === 0
      ? "no conversation found\n"
      : conversations.map(conversationLine).join("") + more(next_cursor),
  getConversation: conversationLine,
  updateConversation: conversationLine,
  getInbox: inboxTable,
  listDeadLetters: ({ dead_letters, next_cursor }) =>
    dead_letters.length === 0
      ? "no dead letters\n"
      : rendered(dead_letters.flatMap(deadLetterBlocks)) + more(next_cursor),
  redriveDeadLetters: ({ redriven }) => `put back ${counted(redriven, "message")}\n`,
  registerAgent: (agent) => `registered ${agentBlock(agent)}`,
  listAgents: ({ agents }, columns) =>
    agents.length === 0
      ? `no agents yet; register one with: ${programName} register NAME\n`
      : agentTable(agents, columns),
  getAgent: agentBlock,
  getAgentKeys: ({ agent_id, keys, fingerprint }) => `${agent_id}  ${fingerprint}  made ${keys.created_at}\n`,
  removeAgent: ({ dead }) => `removed; ${counted(dead, "waiting message")} became dead letters\n`,
  heartbeat: agentBlock,
  createToken: ({ token, ...info }) =>
    `${token}\n${tokenLine(info)}Shown this once, kept nowhere: hand it over as HIVEPOST_TOKEN, or in a file named by HIVEPOST_TOKEN_FILE.\n`,
  listTokens: ({ tokens }) =>
    tokens.length === 0
      ? `no such token; make one with: ${programName} token create AGENT\n`
      : tokens.map(tokenLine).join(""),
  revokeToken: (token) => `revoked ${tokenLine(token)}`,
  getKeys: keysBlock,
  rotateKeys: (keys) => `epoch ${keys.epoch} from now on\n${keysBlock(keys)}`,
  rewrapKeys: (keys) =>
    `the data keys are wrapped by another master key; keep the old one for as long as you keep backups made before.\nWhere you named a file, start the server with HIVEPOST_MASTER_KEY_FILE from now on.\n${keysBlock(keys)}`,
  reencryptMessages: keysBlock,
  readAudit: ({ entries, next_cursor }, columns) =>
    entries.length === 0 ? "no entry found\n" : auditTable(entries, columns) + more(next_cursor),
  health: (health) => `${health.status}\n${detailsOf(health)}`,
};

/** The answer as text for a person. */
export function describeAnswer(operation: OperationName, output: unknown, columns: number): string {
  // The table types each printer by its own operation; which one is asked for is known only at run time.
  return (printers[operation] as (output: unknown, columns: number) => string)(output, columns);
}

/** Whether an answer, though it is no error, says that what was asked was not done. */
export function isRefusal(output: unknown): boolean {
  const { acknowledged, reason, results } = output as {
    acknowledged?: boolean;
    reason?: string;
    results?: readonly { ok?: boolean; acknowledged?: boolean }[];
  };
  if (Array.isArray(results)) return results.some((it) => it.ok === false || it.acknowledged === false);
  return reason === "lease_lost" && acknowledged !== true;
}

const leaseLost = "not acknowledged: the lease had ended (lease_lost), so another may have the message; claim again\n";

function sendResult(result: Output<"sendMessages">["results"][number]): string {
  if (result.ok) return printers.sendMessage(result.message, 0);
  return `not sent: ${visibleLine(`${result.error.code}: ${result.error.message}`)}\n`;
}

function kindOf(message: Message): string {
  const words = [message.priority, message.message_type, `conversation ${message.conversation_id}`];
  if (message.deliver_at) words.push(`not before ${message.deliver_at}`);
  return words.join(", ");
}

/** What others wrote, told apart from what this program says. */
function rendered(parts: readonly (Block | Note)[]): string {
  return renderParts(parts, (bytes) => crypto.getRandomValues(bytes));
}

function nextStep({ message, lease_id, lease_expires_at, attempt }: Delivery): Note {
  const again = attempt > 1 ? `attempt ${attempt}; ` : "";
  const acknowledge = `${programName} ack ${message.id} ${visibleLine(lease_id)}`;
  return { note: `  ${again}done? ${acknowledge}   (leased until ${lease_expires_at})` };
}

function statusLine(status: DeliveryStatus): string {
  if (status.reason === "lease_lost")
    return `nothing was changed: the lease had ended (lease_lost); it is ${status.state} now\n`;
  const facts = [`${status.state} for ${status.agent_id}`, counted(status.attempt, "attempt")];
  if (status.lease_expires_at) facts.push(`leased until ${status.lease_expires_at}`);
  if (status.available_at) facts.push(`available at ${status.available_at}`);
  if (status.reason) facts.push(jsonLine(status.reason));
  return `${facts.join(", ")}\n`;
}

function conversationLine(conversation: Conversation): string {
  const who = conversation.participants.join(", ");
  const status = conversation.sealed ? `${conversation.status}, sealed` : conversation.status;
  return `${conversation.id}  ${status}  last activity ${conversation.last_activity}  ${who}\n`;
}

function inboxTable(inbox: Output<"getInbox">, columns: number): string {
  const titles = [{ title: "priority" }, ...["ready", "scheduled", "leased", "held"].map(right)];
  const rows = priorities.map((priority) => {
    const depth = inbox.depth[priority];
    return [priority, ...[depth.ready, depth.scheduled, depth.leased, depth.held].map(String)];
  });
  const age = inbox.oldest_age_ms === undefined ? "" : `, the oldest for ${describeDuration(inbox.oldest_age_ms)}`;
  const head = `${inbox.agent_id}: ${counted(inbox.total, "message")} of at most ${inbox.limit} waiting${age}\n`;
  return `${head}${table(titles, rows, columns)}${inbox.explanation.map((it) => `${visibleLine(it)}\n`).join("")}`;
}

function right(title: string) {
  return { title, align: "right" } as const;
}

function agentTable(agents: readonly Agent[], columns: number): string {
  const titles = ["agent", "health", "status", "can", "groups", "last seen"].map((title) => ({ title }));
  const rows = agents.map((agent) => [
    agent.agent_id,
    agent.health,
    agent.status,
    capabilitiesOf(agent),
    agent.groups.join(" "),
    agent.last_seen_at ?? "not yet",
  ]);
  return table(titles, rows, columns);
}

function capabilitiesOf(agent: Agent): string {
  return agent.capabilities.map(({ name, level }) => (level === undefined ? name : `${name}:${level}`)).join(" ");
}

function agentBlock(agent: Agent): string {
  const facts = [
    ["can", capabilitiesOf(agent)],
    ["groups", agent.groups.join(" ")],
    ["aliases", agent.aliases.join(" ")],
    // In quotes: the agent's own words.
    ["program", agent.program ? jsonLine(agent.program) : ""],
    ["task", agent.current_task ? jsonLine(agent.current_task) : ""],
    ["location", agent.location ? jsonLine(agent.location) : ""],
    ["last seen", agent.last_seen_at ?? "not yet"],
  ].filter(([, value]) => value !== "");
  const lines = facts.map(([name = "", value = ""]) => `  ${name.padEnd(10)}${visibleLine(value)}\n`);
  return `${agent.agent_id}: ${agent.health}, ${agent.status}\n${lines.join("")}`;
}

function auditTable(entries: readonly AuditEntry[], columns: number): string {
  const titles = ["at", "event", "by", "token", "from", "detail"].map((title) => ({ title }));
  const rows = entries.map(({ at, event, actor, key_id = "", address = "", detail }) => {
    const facts = Object.entries(detail).map(([name, value]) => `${name}=${value}`);
    return [at, event, actor, key_id, address, facts.join(" ")];
  });
  return table(titles, rows, columns);
}

function detailsOf(health: Readonly<Record<string, unknown>>): string {
  const { status: _shown, ...details } = health;
  return flat(details)
    .map(([name, value]) => `  ${name.padEnd(36)} ${visibleLine(String(value))}\n`)
    .join("");
}

function flat(value: object, path = ""): [name: string, value: unknown][] {
  return Object.entries(value).flatMap(([name, inner]: [string, unknown]): [string, unknown][] =>
    typeof inner === "object" && inner !== null ? flat(inner, `${path}${name}.`) : [[path + name, inner]],
  );
}

function more(cursor: string | undefined): string {
  return cursor === undefined ? "" : `there is more: --cursor ${visibleLine(cursor)}\n`;
}

function tokenLine(token: TokenInfo): string {
  const { key_id, scopes, agent_id, created_at, created_by, expires_at, last_used_at, revoked_at } = token;
  const facts = [
    `${scopes.join(", ")}${agent_id ? ` (${agent_id})` : ""}`,
    `made ${created_at} by ${visibleLine(created_by)}`,
    last_used_at ? `last used ${last_used_at}` : "never used",
    ...(expires_at ? [`until ${expires_at}`] : []),
    ...(revoked_at ? [`revoked ${revoked_at}`] : []),
  ];
  return `${key_id}  ${facts.join("; ")}\n`;
}

function keysBlock({ hive_id, master_key, master_key_source, epoch, keys, reencryption }: KeyStatus): string {
  const { running, share, messages } = reencryption;
  const going = `sealing anew: ${Math.floor(100 * share)} % of the history, ${counted(messages, "message")} so far`;
  const lines = [
    `hive        ${hive_id}`,
    `master key  ${master_key}, ${visibleLine(master_key_source)}`,
    `epoch       ${epoch}`,
    ...keys.map((it) => `key         ${it.key_id}  ${it.purpose} ${it.epoch}, made ${it.created_at}`),
    ...(running ? [going] : messages > 0 ? [`sealed anew: ${counted(messages, "message")}, all there was`] : []),
  ];
  return `${lines.join("\n")}\n`;
}
