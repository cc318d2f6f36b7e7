import type {
  ConversationStore,
  DeliveryStore,
  FleetStore,
  HistoryStore,
  LeaseOutcome,
  Publication,
  PublishOutcome,
  Store,
} from "../../src/app/ports.ts";
import { type AgentId, type MessageId, priorities, type TracedMessage } from "../../src/contract/messages.ts";
import type { InboxCounts } from "../../src/core/messaging/inbox.ts";
import { ledgerFaults } from "../support/checker.ts";
import type { Witness } from "./gate.ts";
import {
  acknowledge,
  die,
  endLease,
  judgeClaim,
  judgeDeaths,
  judgeLease,
  judgeRedrive,
  judgeReject,
  judgeRelease,
  judgeSweep,
} from "./lease-judges.ts";
import {
  accept,
  acceptImport,
  deliveriesOf,
  expectedOutcome,
  expectSame,
  forget,
  forgettable,
  type Model,
  openStates,
  Violation,
} from "./model.ts";
import type { Observations } from "./observations.ts";

type Intents = DeliveryStore & HistoryStore & ConversationStore & FleetStore;
type Judges = {
  readonly [Intent in keyof Intents]?: (
    input: Parameters<Intents[Intent]>,
    output: Awaited<ReturnType<Intents[Intent]>>,
  ) => void | Promise<void>;
};

/** Compares every intent's outcome with what the model says, and takes it over into the model. */
export function createWitness(model: Model, real: () => Store, seen: Observations): Witness {
  const judges: Judges = { ...judgesOfDeliveries(model, real, seen), ...judgesOfTheRest(model, real, seen) };
  return (intent, input, output) => {
    // The gate passes on what the ports were given and answered, which is what their types say.
    const judge = judges[intent as keyof Intents] as ((input: unknown, output: unknown) => void) | undefined;
    if (isSurelyWritten(intent, output)) model.unwritten.clear();
    for (const outcome of outcomesOf(output)) seen.met.add(`${intent} ${outcome}`);
    return judge?.(input, output);
  };
}

function outcomesOf(output: unknown): string[] {
  if (Array.isArray(output)) return [...new Set(output.flatMap(outcomesOf))];
  if (typeof output === "string" || typeof output === "boolean") return [String(output)];
  if (typeof output === "number") return [output > 0 ? "some" : "none"];
  if (typeof output !== "object" || output === null) return [];
  if ("outcome" in output) return [String(output.outcome)];
  if ("died_at" in output) return ["death"];
  // Of a sweep, a redrive or a release: what it found to do.
  return Object.entries(output).flatMap(([name, list]) => (Array.isArray(list) && list.length > 0 ? [name] : []));
}

/** Whether this was answered only when it, and all that came before it, was on disk. */
function isSurelyWritten(intent: string, output: unknown): boolean {
  switch (intent) {
    case "publish":
      return (output as PublishOutcome[]).some((it) => it.outcome === "accepted");
    case "reject":
    case "record":
      return (output as LeaseOutcome).outcome === "done";
    case "redrive":
      return (output as { message_ids: readonly MessageId[] }).message_ids.length > 0;
    case "putAgent":
    case "removeAgent":
      return true;
    default:
      return false;
  }
}

function judgesOfDeliveries(model: Model, real: () => Store, seen: Observations): Judges {
  return {
    publish([publications], outcomes) {
      for (const [index, it] of publications.entries()) judgePublication(model, seen, it, outcomes[index]);
    },
    claim: ([claim], outcome) => judgeClaim(model, claim, outcome),
    acknowledge([leases], outcomes) {
      const expected = leases.map((it) => acknowledge(model, it));
      expectSame(outcomes, expected, "acknowledge");
    },
    reject: ([lease, , { delay_ms }], outcome) => judgeReject(model, seen, lease, delay_ms, outcome),
    extend([lease, lease_ms], outcome) {
      const delivery = judgeLease(model, lease, outcome);
      if (delivery) delivery.lease_ends_ms = model.clock.elapsed() + lease_ms;
    },
    record([lease], outcome) {
      judgeLease(model, lease, outcome);
    },
    release: ([leases], outcome) => judgeRelease(model, seen, leases, outcome),
    sweep: (_, swept) => judgeSweep(model, seen, real(), swept),
    redrive: ([redrive], { message_ids }) => judgeRedrive(model, seen, redrive, message_ids),
    retire([agent_id], deaths) {
      const open = deliveriesOf(model, agent_id).filter((it) => openStates.includes(it.state));
      for (const delivery of open) {
        endLease(seen, delivery);
        die(delivery);
      }
      model.unwritten.clear();
      judgeDeaths(seen, open, deaths, "retire");
    },
  };
}

function judgesOfTheRest(model: Model, real: () => Store, seen: Observations): Judges {
  const { conversations } = model;
  return {
    import([imports], added) {
      const expected = imports.map((it) => acceptImport(model, it));
      expectSame(added, expected, "import");
    },
    prune: ([before_ms], count) => judgePrune(model, real(), before_ms, count),
    message: ([id], message) => judgeMessage(model, seen, id, message),
    inbox: ([agent_id], counts) => judgeInbox(model, agent_id, counts),
    open([{ id, participants }], conversation) {
      conversations.set(id, { id, implicit: false, participants, status: "active" });
      expectSame([conversation.participants, conversation.status], [participants, "active"], "open");
    },
    changeStatus([id, status], conversation) {
      const known = conversations.get(id);
      if (known) known.status = status;
      expectSame(conversation?.status, known && status, "changeStatus");
    },
    conversation([id], conversation) {
      const known = conversations.get(id);
      const told = conversation && [conversation.status, conversation.participants];
      expectSame(told, known && [known.status, known.participants], `conversation ${id}`);
    },
    putAgent([{ agent_id, groups = [], capabilities = [] }]) {
      seen.fleet.set(agent_id, { groups, capabilities: capabilities.map((it) => it.name) });
      seen.hasFleetChanged = true;
    },
    removeAgent([agent_id], removed) {
      expectSame(removed, seen.fleet.delete(agent_id), `removal of ${agent_id}`);
      seen.hasFleetChanged = true;
    },
  };
}

function judgePublication(model: Model, seen: Observations, sent: Publication, outcome: PublishOutcome | undefined) {
  const expected = expectedOutcome(model, sent);
  expectSame(outcome?.outcome, expected.outcome, `publication of ${sent.id}`);
  if (outcome?.outcome === "duplicate" && expected.outcome === "duplicate") {
    expectSame(outcome.message.id, expected.first.publication.id, "first message");
  }
  if (outcome?.outcome !== "accepted" || expected.outcome !== "accepted") return;
  const { message } = outcome;
  if (expected.conversation_id) expectSame(message.conversation_id, expected.conversation_id, "conversation");
  else if (model.conversations.has(message.conversation_id)) {
    throw new Violation(`message ${message.id} joined the conversation ${message.conversation_id}, which it must not`);
  }
  expectSame([message.content, message.from_agent], [sent.content, sent.from_agent], "what was said");
  const ready = accept(model, sent, message.conversation_id, expected.reply_depth);
  expectSame([...outcome.ready].sort(), ready.sort(), `recipients that can have ${message.id} at once`);
  judgeRecipients(seen, sent);
  seen.judge.sent({ id: message.id, recipients: sent.recipients });
  seen.judge.accepted(message.id);
  if (sent.notice) noteNotice(seen, sent);
}

/** Whether it goes to all whom the address means and to nobody else. */
function judgeRecipients({ fleet, hasFleetChanged }: Observations, { to, from_agent, recipients }: Publication): void {
  if (!to || hasFleetChanged) return;
  const meant = [...fleet.entries()].filter(([agent_id, { groups, capabilities }]) => {
    if ("capability" in to) return capabilities.includes(to.capability);
    return agent_id !== from_agent && ("broadcast" in to || groups.includes(to.group));
  });
  const ids = meant.map(([agent_id]) => agent_id).sort();
  if (!("capability" in to)) expectSame([...recipients].sort(), ids, `recipients of ${JSON.stringify(to)}`);
  else if (recipients.length !== 1 || !recipients.every((it) => ids.includes(it))) {
    throw new Violation(`${recipients} got what was for one of ${ids}`);
  }
}

function noteNotice({ owed, wasKilled }: Observations, { metadata }: Publication): void {
  if (metadata["notice"] !== "dead_letter") return;
  const death = `${metadata["message_id"]} ${metadata["agent_id"]}`;
  // Only a server that was killed may have forgotten that it had told already; the idempotency key then holds it back.
  if (!owed.delete(death) && !wasKilled) throw new Violation(`a notice of a death that did not happen: ${death}`);
}

/** Only what is old in every respect is forgotten, and nothing else is lost with it. */
async function judgePrune(model: Model, { history }: Store, before_ms: number, count: number): Promise<void> {
  model.kept_since_ms = Math.max(model.kept_since_ms, before_ms);
  let forgotten = 0;
  for (const old of forgettable(model, before_ms)) {
    const { publication } = old;
    const message = await history.message(publication.id);
    const isYoung = message?.ledger.some((it) => Date.parse(it.at) >= before_ms);
    if (message && !isYoung) throw new Violation(`${publication.id} should have been forgotten`);
    if (message) continue;
    forget(model, old);
    forgotten += 1;
  }
  expectSame(count, forgotten, "messages forgotten");
}

function judgeMessage(model: Model, { losesLeases }: Observations, id: MessageId, message: TracedMessage | undefined) {
  const known = model.messages.get(id);
  expectSame(message?.id, known && id, "message by id");
  if (!known || !message) return;
  const told = message.deliveries.map((it) => [it.agent_id, it.state, it.attempt, it.lease_id]);
  const expected = known.deliveries.map((it) => {
    return [it.agent_id, it.state, it.attempt, it.state === "leased" ? it.lease_id : undefined];
  });
  expectSame(told, expected, `deliveries of ${id}`);
  const [fault] = ledgerFaults(message, { crashes: losesLeases });
  if (fault) throw new Violation(`message ${id} ${fault}`);
}

function judgeInbox(model: Model, agent_id: AgentId, { depth, dead }: InboxCounts): void {
  const own = deliveriesOf(model, agent_id);
  for (const priority of priorities) {
    for (const state of ["ready", "scheduled", "leased", "held"] as const) {
      const count = own.filter((it) => it.state === state && it.message.publication.priority === priority).length;
      expectSame(depth[priority][state], count, `${priority} ${state} of ${agent_id}`);
    }
  }
  expectSame(dead, own.filter((it) => it.state === "dead").length, `dead of ${agent_id}`);
}
