import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createGate, inLanes } from "../../src/cli/replay/lanes.ts";
import { createProblems, createScoreboard, digestOf, type Scoreboard } from "../../src/cli/replay/scoreboard.ts";
import type { BusEvent } from "../../src/contract/events.ts";
import type { AgentId, Message, MessageId } from "../../src/contract/messages.ts";
import { ada, bob, cleo, messageId } from "../support/fixtures.ts";

/** A replay of two messages from ada to bob, both accepted. */
function aReplay() {
  const scoreboard = createScoreboard(createProblems());
  const [first, second] = [messageId(), messageId()];
  for (const [id, line, text] of [
    [first, 1, "one"],
    [second, 2, "two"],
  ] as const) {
    const rest = { from: ada, to: bob, conversation: "c", priority: "normal", sent_ms: 100 } as const;
    scoreboard.enter({ id, line, digest: digestOf(text), ...rest }).accept_ms = 1;
    announce(scoreboard, "accepted", id);
  }
  return { scoreboard, first, second };
}

function announce(scoreboard: Scoreboard, event: BusEvent["event"], message_id: MessageId): void {
  scoreboard.announced({ event, message_id, at: "", actor: "bob", cursor: "c" as BusEvent["cursor"] });
}

/** The parts of a delivered message that are looked at. */
function message(id: MessageId, content: string, from_agent: AgentId = ada): Message {
  return { id, content, from_agent } as Message;
}

/** What is wrong once everything has happened. */
function verdict(scoreboard: Scoreboard): readonly string[] {
  scoreboard.close();
  return scoreboard.problems.texts.map((text) => text.replace(/ \([0-9a-f-]{36}\)/g, ""));
}

describe("the score of a replay", () => {
  it("is clean when everything arrived once, in order, and was acknowledged once", () => {
    const { scoreboard, first, second } = aReplay();
    scoreboard.delivered(bob, message(first, "one"), 110);
    scoreboard.delivered(bob, message(second, "two"), 120);
    announce(scoreboard, "acknowledged", first);
    announce(scoreboard, "acknowledged", second);
    assert.deepEqual(verdict(scoreboard), []);
    assert.deepEqual(scoreboard.counts, { refused: 0, handled: 2, acknowledged: 2, redelivered: 0, foreign: 0 });
    assert.deepEqual(
      [...scoreboard.sent.values()].map((it) => it.delivery_ms),
      [10, 20],
    );
  });

  it("notices what is missing", () => {
    const { scoreboard, first } = aReplay();
    scoreboard.delivered(bob, message(first, "one"), 110);
    assert.deepEqual(verdict(scoreboard), [
      "line 1 was acknowledged 0 times, says the ledger",
      "line 2 was never delivered to bob",
      "line 2 was acknowledged 0 times, says the ledger",
    ]);
  });

  it("notices what happened twice", () => {
    const { scoreboard, first, second } = aReplay();
    announce(scoreboard, "accepted", first);
    for (const [id, text] of [
      [first, "one"],
      [second, "two"],
      [second, "two"],
    ] as const) {
      scoreboard.delivered(bob, message(id, text), 110);
      announce(scoreboard, "acknowledged", id);
    }
    assert.deepEqual(verdict(scoreboard), [
      "line 1 was accepted 2 times, says the ledger",
      "line 2 was acknowledged 2 times, says the ledger",
    ]);
    assert.equal(scoreboard.counts.redelivered, 1);
  });

  it("notices the wrong recipient, sender, text and order", () => {
    const { scoreboard, first, second } = aReplay();
    scoreboard.delivered(cleo, message(second, "2", cleo), 110);
    scoreboard.delivered(bob, message(first, "one"), 120);
    assert.deepEqual(
      scoreboard.problems.texts.map((text) => text.replace(/ \([0-9a-f-]{36}\)/g, "")),
      [
        "line 2 is for bob and was delivered to cleo",
        "line 2 is from ada, not from cleo",
        "line 2 was delivered with another text",
        "line 1 was delivered to bob after line 2",
      ],
    );
  });

  it("counts a refused message as a problem, once, and other mail as foreign", () => {
    const scoreboard = createScoreboard(createProblems());
    const id = messageId();
    scoreboard.enter({ id, line: 1, from: ada, to: bob, conversation: "c", priority: "low", digest: "", sent_ms: 0 });
    scoreboard.refused(id, "line 1 was not accepted: inbox full");
    scoreboard.delivered(bob, message(messageId(), "other"), 1);
    announce(scoreboard, "acknowledged", messageId());
    assert.deepEqual(verdict(scoreboard), ["line 1 was not accepted: inbox full"]);
    assert.deepEqual([scoreboard.counts.refused, scoreboard.counts.foreign], [1, 1]);
  });

  it("keeps the first problems in words and counts the rest", () => {
    const problems = createProblems();
    for (let i = 0; i < 100; i++) problems.add(String(i));
    assert.deepEqual([problems.count, problems.texts.length, problems.texts[0]], [100, 20, "0"]);
  });
});

describe("lanes", () => {
  it("start in order, at most so many at a time", async () => {
    const started: number[] = [];
    let running = 0;
    let most = 0;
    await inLanes([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      started.push(item);
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
    });
    assert.deepEqual([started, most], [[1, 2, 3, 4, 5, 6, 7], 3]);
  });

  it("stop at the first error, once what runs has ended", async () => {
    const ended: number[] = [];
    const work = inLanes([1, 2, 3, 4], 2, async (item) => {
      await new Promise(setImmediate);
      if (item === 1) throw new Error("no");
      ended.push(item);
    });
    await assert.rejects(work, /no/);
    assert.ok(ended.includes(2) && !ended.includes(4));
  });
});

describe("a gate", () => {
  it("lets through when it is open, and when it has been opened", async () => {
    let open = false;
    const gate = createGate(() => open);
    let through = false;
    const passed = gate.pass().then(() => {
      through = true;
    });
    gate.notify();
    await new Promise(setImmediate);
    assert.equal(through, false);
    open = true;
    gate.notify();
    await passed;
    await gate.pass();
    assert.equal(through, true);
  });
});
