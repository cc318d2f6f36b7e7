import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeAnswer, isRefusal } from "../../src/cli/answers.ts";
import { eventLine } from "../../src/cli/tail.ts";
import { describeWay } from "../../src/cli/why.ts";
import type { BusEvent } from "../../src/contract/events.ts";
import {
  type ConversationId,
  type DeliveryStatus,
  deliveryStates,
  type LeaseId,
  ledgerEvents,
  type TracedMessage,
} from "../../src/contract/messages.ts";
import { ada, bob, messageId } from "../support/fixtures.ts";

const id = messageId();
const at = "2026-01-05T09:00:00.000Z";

/** A message from ada to bob, with what happened to it. */
function aTracedMessage(overrides: Partial<TracedMessage> = {}): TracedMessage {
  return {
    id,
    from_agent: ada,
    to_agent: bob,
    content: "text\n",
    priority: "normal",
    timestamp: at,
    acknowledged: false,
    conversation_id: "c" as ConversationId,
    message_type: "task",
    metadata: {},
    when: "turn",
    offline: "hold",
    provenance: { actor: "ada", token: "agent", trust: "agent" },
    deliveries: [],
    ledger: [],
    ...overrides,
  };
}

function aDelivery(overrides: Partial<DeliveryStatus> = {}): DeliveryStatus {
  return { message_id: id, agent_id: bob, state: "ready", attempt: 0, ...overrides };
}

describe("the way of a message", () => {
  it("has a sentence for every step that a ledger can hold", () => {
    const ledger = ledgerEvents.map((event) => ({ at, event, actor: "ada", agent_id: bob, reason: "because" }));
    const [head, ...steps] = describeWay(aTracedMessage({ ledger })).trim().split("\n");
    assert.equal(head, `${id}: a normal task from ada to bob`);
    assert.equal(new Set(steps).size, ledgerEvents.length);
    for (const step of steps) assert.match(step, /^2026-01-05T09:00:00\.000Z {2}[A-Za-z].*\. Reason: "because"\.$/);
    assert.match(
      describeWay(aTracedMessage({ ledger: [{ at, event: "dead", actor: "x" }] })),
      /given up: a dead letter\.\n$/,
    );
  });

  it("ends with how each delivery stands", () => {
    const deliveries = deliveryStates.map((state) => aDelivery({ state, attempt: 2, reason: "why not" }));
    const standings = describeWay(aTracedMessage({ deliveries })).match(/^Now: .*bob.*$/gm) ?? [];
    assert.equal(new Set(standings).size, deliveryStates.length);
    const leased = aDelivery({ state: "leased", lease_expires_at: at });
    assert.match(describeWay(aTracedMessage({ deliveries: [leased] })), new RegExp(`the lease ends at ${at}`));
    const scheduled = aDelivery({ state: "scheduled", available_at: at });
    assert.match(describeWay(aTracedMessage({ deliveries: [scheduled] })), new RegExp(`kept for bob until ${at}\\.`));
  });
});

describe("an event on one line", () => {
  it("tells when, what, to whom, by whom and why", () => {
    const event: BusEvent = { cursor: "c" as BusEvent["cursor"], event: "dead", at, actor: "hivepost", message_id: id };
    assert.equal(
      eventLine({ ...event, agent_id: bob, reason: "too\nlate" }),
      `${at}  dead                 ${id} for bob by hivepost: "too\\nlate"\n`,
    );
    const conversation_id = messageId() as string as ConversationId;
    assert.match(
      eventLine({ cursor: event.cursor, event: "conversation_opened", at, actor: "ada", conversation_id }),
      new RegExp(`conversation_opened {2}${conversation_id} by ada\n$`),
    );
    assert.match(
      eventLine({ cursor: event.cursor, event: "agent_removed", at, actor: "ada" }),
      /agent_removed +by ada\n$/,
    );
  });
});

describe("an answer", () => {
  it("shows all that there is to see of a delivery", () => {
    const status = aDelivery({ state: "scheduled", available_at: at, reason: "back-off", attempt: 1 });
    assert.equal(
      describeAnswer("rejectMessage", status, 80),
      `scheduled for bob, 1 attempt, available at ${at}, "back-off"\n`,
    );
  });

  it("shows a message with its metadata, and a delivery that came again", () => {
    const message = aTracedMessage({ metadata: { ticket: 7 }, acknowledged: true });
    const delivery = { message, agent_id: bob, lease_id: "l" as LeaseId, lease_expires_at: at, attempt: 3 };
    const text = describeAnswer("claimMessages", { deliveries: [delivery] }, 80);
    assert.match(
      text,
      / acknowledged=true .* attempt=3>\ntext\n\n<\/message (\w+)>\n<metadata \1 of=\S+>\n\{"ticket":7\}\n<\/metadata \1>\n {2}attempt 3; done\? /,
    );
  });

  it("says when a message will be delivered", () => {
    const message = aTracedMessage({ deliver_at: at });
    assert.match(describeAnswer("sendMessage", message, 80), new RegExp(`conversation c, not before ${at}\\)\n$`));
  });

  it("says where nothing was found", () => {
    for (const [operation, output] of [
      ["listAgents", { agents: [] }],
      ["listConversations", { conversations: [] }],
      ["listDeadLetters", { dead_letters: [] }],
      ["searchMessages", { messages: [] }],
    ] as const) {
      assert.match(describeAnswer(operation, output, 80), /^no [a-z ]+/);
    }
  });

  it("shows where an agent is, and who has not been heard of", () => {
    const agent = { agent_id: bob, capabilities: [{ name: "ts", level: 3 }, { name: "go" }], groups: [], aliases: [] };
    const rest = { metadata: {}, registered_at: at, status: "available", health: "suspect", location: { tmux: "a:1" } };
    const text = describeAnswer("getAgent", { ...agent, ...rest }, 80);
    assert.equal(
      text,
      'bob: suspect, available\n  can       ts:3 go\n  location  {"tmux":"a:1"}\n  last seen not yet\n',
    );
    assert.match(
      describeAnswer("listAgents", { agents: [{ ...agent, ...rest }] }, 80),
      /^bob +suspect +available +ts:3 go +not yet$/m,
    );
  });

  it("is a refusal where what was asked was not done", () => {
    for (const [output, refused] of [
      [{ acknowledged: false, reason: "lease_lost" }, true],
      [{ acknowledged: true }, false],
      [aDelivery({ reason: "lease_lost" }), true],
      [aDelivery({ reason: "back-off" }), false],
      [{ results: [{ ok: true }, { ok: false }] }, true],
      [{ results: [{ acknowledged: true }, { acknowledged: false }] }, true],
      [{ results: [{ ok: true }] }, false],
      [{ ...aTracedMessage(), acknowledged: false }, false],
    ] as const) {
      assert.equal(isRefusal(output), refused, JSON.stringify(output));
    }
  });
});
