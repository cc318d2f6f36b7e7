import { describeDuration } from "../base/time.ts";
import { BusError } from "../contract/errors.ts";
import type { AgentId, LedgerEntry, LedgerEvent, MessageId, TracedMessage } from "../contract/messages.ts";
import type { Output } from "../contract/operations.ts";
import { jsonLine, visibleLine } from "../core/rendering/visible.ts";
import { UsageError } from "./arguments.ts";
import { ask, findServer, type ServerAddress, serverFlags } from "./call.ts";
import type { Command, Run } from "./command.ts";
import type { ExitCode } from "./failure.ts";

export const whyCommand: Command = {
  name: "why",
  also: ["explain", "trace"],
  summary: "Say what happened to a message, a sentence per step, or why an agent gets nothing.",
  usage: "<message-id | agent>",
  flags: serverFlags,
  examples: [
    ["why 0198c0de-0000-7000-8000-000000000001", "the whole way of one message, and where it is now"],
    ["why bob", "why nothing, or not everything, is delivered to bob"],
  ],
  run: async (run) => {
    const [subject, extra] = run.given.words;
    if (!subject || extra) throw new UsageError("why wants one message id or agent, e.g. hivepost why bob");
    const server = await findServer(run.given, run.terminal);
    const looksLikeMessage = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(subject.text);
    // The server checks both.
    if (!looksLikeMessage) return await explainAgent(server, subject.text as AgentId, run);
    return await explainMessage(server, subject.text as MessageId, run).catch((error: unknown) => {
      // An agent may be called like a message.
      if (!(error instanceof BusError) || error.code !== "message_not_found") throw error;
      return explainAgent(server, subject.text as AgentId, run).catch(() => {
        throw error;
      });
    });
  },
};

async function explainAgent(
  server: ServerAddress,
  agent_id: AgentId,
  { terminal, json, signal }: Run,
): Promise<ExitCode> {
  const inbox = await ask(server, "getInbox", { agent_id }, signal);
  terminal.stdout.write(json ? `${jsonLine(inbox)}\n` : describeInbox(inbox));
  return 0;
}

async function explainMessage(server: ServerAddress, message_id: MessageId, run: Run): Promise<ExitCode> {
  const { terminal, json, signal } = run;
  const message = await ask(server, "getMessage", { message_id }, signal);
  terminal.stdout.write(json ? `${jsonLine(message)}\n` : describeWay(message));
  if (json) return 0;
  const waiting = message.deliveries.filter(({ state }) => state === "ready" || state === "held");
  for (const { agent_id } of waiting.slice(0, 5)) {
    const inbox = await ask(server, "getInbox", { agent_id }, signal).catch(nothingIfGone);
    if (inbox) terminal.stdout.write(`\nIn the ${describeInbox(inbox)}`);
  }
  return 0;
}

function nothingIfGone(error: unknown): undefined {
  if (!(error instanceof BusError) || error.code !== "agent_not_found") throw error;
}

/** A sentence per step of the ledger, then how each delivery stands now. */
export function describeWay(message: TracedMessage): string {
  const { from_agent, to_agent, priority, message_type } = message;
  const head = `${message.id}: a ${priority} ${message_type} from ${from_agent} to ${visibleLine(to_agent)}\n`;
  const steps = message.ledger.map((entry) => `${entry.at}  ${visibleLine(sentenceOf(entry))}\n`);
  const now = message.deliveries.map((it) => `Now: ${visibleLine(standing(it))}\n`);
  return [head, ...steps, ...now].join("");
}

const sentences: Readonly<Record<LedgerEvent, (whom: string, actor: string) => string>> = {
  accepted: (_, actor) => `${actor} sent it; it was on disk before ${actor} was told so.`,
  imported: (_, actor) => `${actor} imported it as history; it is not delivered.`,
  scheduled: (whom) => `It was put aside${whom} until its time comes.`,
  ready: (whom) => `It was ready to be claimed${whom}.`,
  leased: (_, actor) => `${actor} received it under a lease.`,
  injected: (_, actor) => `It was put before its reader by ${actor}.`,
  seen: (_, actor) => `${actor} took it up.`,
  acknowledged: (_, actor) => `${actor} acknowledged it: done.`,
  rejected: (_, actor) => `${actor} gave it back.`,
  lease_extended: (_, actor) => `${actor} asked for more time.`,
  lease_expired: (whom) => `The lease${whom} ended without an acknowledgement.`,
  rerouted: (whom) => `It was sent${whom} instead of the agent that was named.`,
  held: (whom) => `It was held back${whom}; a person has to let it through (hivepost redrive).`,
  dead: (whom) => `It was given up${whom}: a dead letter.`,
  redriven: (_, actor) => `${actor} put it back into the inbox.`,
};

function sentenceOf({ event, actor, agent_id, reason }: LedgerEntry): string {
  const whom = agent_id === undefined ? "" : ` for ${agent_id}`;
  return sentences[event](whom, actor) + (reason ? ` Reason: ${jsonLine(reason)}.` : "");
}

function standing(delivery: TracedMessage["deliveries"][number]): string {
  const { agent_id, state, attempt, available_at, lease_expires_at, reason } = delivery;
  const because = reason ? ` (${jsonLine(reason)})` : "";
  switch (state) {
    case "ready":
      return `it waits for ${agent_id} to claim it, after ${attempt} deliveries${because}.`;
    case "scheduled":
      return `it is kept for ${agent_id} until ${available_at ?? "later"}${because}.`;
    case "leased":
      return `${agent_id} has it and has not acknowledged it; the lease ends at ${lease_expires_at ?? "an unknown time"}.`;
    case "held":
      return `it is held back from ${agent_id}${because}; hivepost redrive lets it through.`;
    case "acknowledged":
      return `${agent_id} has acknowledged it; nothing is left to do.`;
    case "dead":
      return `it was given up for ${agent_id} after ${attempt} deliveries${because}; hivepost redrive tries again.`;
  }
}

function describeInbox(inbox: Output<"getInbox">): string {
  const age = inbox.oldest_age_ms === undefined ? "" : `, the oldest for ${describeDuration(inbox.oldest_age_ms)}`;
  const head = `inbox of ${inbox.agent_id}: ${inbox.total} waiting${age}.\n`;
  return head + inbox.explanation.map((it) => `  ${visibleLine(it)}\n`).join("");
}
