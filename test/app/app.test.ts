import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Following } from "../../src/app/mailroom.ts";
import { deliveryPolicy } from "../../src/config.ts";
import type { BusEvent } from "../../src/contract/events.ts";
import type { Delivery, Message } from "../../src/contract/messages.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { eventually } from "../support/eventually.ts";
import { ada, aPublication, bob, clockAt, testConfig } from "../support/fixtures.ts";
import { operatorCall as call, openMailroom } from "../support/hives.ts";

async function open(settings = {}) {
  const hive = await openMailroom(openMemoryStore, settings);
  for (const agent_id of [ada, bob]) await hive.mailroom.registerAgent({ agent_id }, call);
  const send = (content: string): Promise<Message> =>
    hive.mailroom.sendMessage({ from_agent: ada, to_agent: bob, content }, call);
  return { ...hive, send };
}

describe("a subscription", () => {
  it("pushes what waits and what comes, as long as credit lasts", async () => {
    await using hive = await open();
    await hive.send("1");
    const got: Delivery[] = [];
    const input = { agent_id: bob, credit: 2 };
    await using subscription = await hive.mailroom.subscribe(input, (it) => got.push(...it), call);
    await eventually("the first is pushed", () => got.length === 1);
    for (const content of ["2", "3", "4"]) await hive.send(content);
    await eventually("the second is pushed", () => got.length === 2);
    subscription.addCredit(1);
    await eventually("the third is pushed", () => got.length === 3);
    const inbox = await hive.mailroom.getInbox({ agent_id: bob }, call);
    assert.deepEqual([inbox.depth.normal.leased, inbox.depth.normal.ready], [3, 1]);
    assert.match(inbox.explanation.join(" "), /subscriber is connected/);
  });

  it("gets its credit back when a delivery leaves it: acknowledged, rejected or expired", async () => {
    await using hive = await open({ backoff_base_ms: 60_000 });
    for (const content of ["1", "2", "3", "4"]) await hive.send(content);
    const got: Delivery[] = [];
    const input = { agent_id: bob, credit: 1, lease_ms: 5_000 };
    await using _subscription = await hive.mailroom.subscribe(input, (it) => got.push(...it), call);
    const lease = async (nth: number) => {
      const { message, lease_id } = await eventually(`number ${nth} is pushed`, () => got[nth - 1]);
      return { message_id: message.id, lease_id };
    };
    await hive.mailroom.acknowledgeMessage(await lease(1), call);
    await hive.mailroom.rejectMessage({ ...(await lease(2)), delay_ms: 60_000 }, call);
    await lease(3);
    hive.clock.advance(5_001);
    await lease(4);
    assert.deepEqual(
      got.map((it) => it.message.content),
      ["1", "2", "3", "4"],
    );
  });

  it("gives everything back at once when it closes", async () => {
    await using hive = await open();
    await hive.send("1");
    const got: Delivery[] = [];
    const subscription = await hive.mailroom.subscribe({ agent_id: bob, credit: 9 }, (it) => got.push(...it), call);
    await eventually("it is pushed", () => got.length === 1);
    await subscription[Symbol.asyncDispose]();
    const { deliveries } = await hive.mailroom.claimMessages({ agent_id: bob }, call);
    assert.equal(deliveries[0]?.attempt, 2);
  });

  it("is refused for an agent that nobody registered, and more credit than there may be", async () => {
    await using hive = await open();
    const push = () => undefined;
    const unknown = hive.mailroom.subscribe({ agent_id: "nobody" as typeof ada, credit: 1 }, push, call);
    await assert.rejects(unknown, { code: "agent_not_found" });
    await using subscription = await hive.mailroom.subscribe({ agent_id: bob, credit: 10_000 }, push, call);
    assert.throws(() => subscription.addCredit(1), { code: "invalid_input", message: /10000/ });
  });
});

describe("following the events", () => {
  it("begins now, or just after a cursor, and misses nothing", async () => {
    await using hive = await open();
    const before = await hive.send("before");
    const seen: BusEvent[] = [];
    const push = async (events: readonly BusEvent[]) => void seen.push(...events);
    await using _now = await hive.mailroom.follow({}, push, call);
    const after = await hive.send("after");
    await eventually("the event comes", () => seen.length === 1);
    assert.deepEqual([seen[0]?.event, seen[0]?.message_id], ["accepted", after.id]);

    const all: BusEvent[] = [];
    await using _all = await hive.mailroom.follow({ after: cursorAtStart() }, async (it) => void all.push(...it), call);
    await eventually("everything has come", () => all.some((it) => it.message_id === after.id));
    assert.deepEqual(
      all.filter((it) => it.event === "accepted").map((it) => it.message_id),
      [before.id, after.id],
    );

    const rest: BusEvent[] = [];
    const resumeAt = all.find((it) => it.message_id === before.id)?.cursor;
    assert.ok(resumeAt);
    await using _rest = await hive.mailroom.follow({ after: resumeAt }, async (it) => void rest.push(...it), call);
    await eventually("the rest has come", () => rest.some((it) => it.message_id === after.id));
    assert.equal(rest.filter((it) => it.message_id === before.id).length, 0);
  });

  it("does not run ahead of a slow reader", async () => {
    await using hive = await open();
    let reading = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    const push = async () => {
      most = Math.max(most, ++reading);
      await gate.promise;
      reading -= 1;
    };
    await using _following = await hive.mailroom.follow({ after: cursorAtStart() }, push, call);
    for (let i = 0; i < 10; i++) await hive.send(`${i}`);
    gate.resolve();
    await eventually("the reader has read", () => reading === 0);
    assert.equal(most, 1);
  });

  it("refuses a cursor that is none, or that lies in the future of this hive", async () => {
    await using hive = await open();
    const follow = (after: string): Promise<Following> =>
      hive.mailroom.follow({ after: after as BusEvent["cursor"] }, async () => undefined, call);
    for (const nonsense of [
      "nonsense",
      cursorOf(["event", -1]),
      cursorOf(["event", 1.5]),
      cursorOf(["page", 1]),
      cursorOf({}),
    ]) {
      await assert.rejects(follow(nonsense), { code: "invalid_cursor" });
    }
    await assert.rejects(follow(cursorOf(["event", 10_000])), { code: "invalid_cursor", message: /another hive/ });
  });

  it("says that what comes after an old cursor has been forgotten", async () => {
    await using hive = await open({ retention_ms: 1_000 });
    await hive.send("old");
    const { deliveries } = await hive.mailroom.claimMessages({ agent_id: bob }, call);
    const [delivery] = deliveries;
    assert.ok(delivery);
    const lease = { message_id: delivery.message.id, lease_id: delivery.lease_id };
    await hive.mailroom.acknowledgeMessage(lease, call);
    hive.clock.advance(2 * 86_400_000);
    await eventually("the message is forgotten", () =>
      hive.mailroom.getMessage({ message_id: lease.message_id }, call).then(
        () => false,
        (error: { code: string }) => error.code === "message_not_found",
      ),
    );
    const follow = hive.mailroom.follow({ after: cursorAtStart() }, async () => undefined, call);
    await assert.rejects(follow, { code: "cursor_expired", message: /without a cursor/ });
  });

  function cursorAtStart(): BusEvent["cursor"] {
    return cursorOf(["event", 0]);
  }

  function cursorOf(parts: unknown): BusEvent["cursor"] {
    return Buffer.from(JSON.stringify(parts)).toString("base64url") as BusEvent["cursor"];
  }
});

describe("a claim whose caller has gone", () => {
  it("ends its wait, and gives back what it got too late", async () => {
    await using hive = await open();
    const gone = new AbortController();
    const waiting = hive.mailroom.claimMessages({ agent_id: bob, wait_ms: 60_000 }, { ...call, signal: gone.signal });
    gone.abort();
    assert.deepEqual(await waiting, { deliveries: [] });
    await hive.send("1");
    const late = await hive.mailroom.claimMessages({ agent_id: bob }, { ...call, signal: gone.signal });
    assert.deepEqual(late, { deliveries: [] });
    assert.equal((await hive.mailroom.claimMessages({ agent_id: bob }, call)).deliveries.length, 1);
  });
});

describe("a cursor", () => {
  const cursorFor = (office: { now(): number }, place: unknown, print: number) =>
    Buffer.from(JSON.stringify([place, Math.floor(office.now() / 1_000), print])).toString("base64url");

  it("whose place is not what the list asks for is refused, though it was made for that question", async () => {
    await using hive = await open();
    const print = (cursor: string) => JSON.parse(Buffer.from(cursor, "base64url").toString())[2] as number;
    for (let i = 0; i < 2; i++) await hive.send(`${i}`);
    const messages = await hive.mailroom.searchMessages({ limit: 1 }, call);
    for (let i = 0; i < 2; i++) await hive.mailroom.createConversation({ participants: [ada, bob] }, call);
    const conversations = await hive.mailroom.listConversations({ limit: 1 }, call);
    const [one, other] = [messages.next_cursor ?? "", conversations.next_cursor ?? ""];
    const wrong = (cursor: string) => cursorFor(hive.clock, { odd: true }, print(cursor)) as BusEvent["cursor"];
    const search = hive.mailroom.searchMessages({ limit: 1, cursor: wrong(one) }, call);
    await assert.rejects(search, { code: "invalid_cursor" });
    const list = hive.mailroom.listConversations({ limit: 1, cursor: wrong(other) }, call);
    await assert.rejects(list, { code: "invalid_cursor" });
  });
});

describe("a search", () => {
  it("for the other side of a pair wants the one side too; an unregistered name that wrote is known", async () => {
    await using hive = await open();
    await assert.rejects(hive.mailroom.searchMessages({ with: bob }, call), {
      code: "invalid_input",
      message: /participant/,
    });
    const stranger = "stranger" as typeof ada;
    await hive.mailroom.sendMessage({ from_agent: stranger, to_agent: bob, content: "hi" }, call);
    const { messages } = await hive.mailroom.searchMessages({ from_agent: stranger }, call);
    assert.deepEqual(
      messages.map((it) => it.content),
      ["hi"],
    );
  });
});

describe("an inbox", () => {
  it("says when the next message falls due and the next lease ends", async () => {
    await using hive = await open();
    const deliver_at = new Date(hive.clock.now() + 60_000).toISOString();
    await hive.mailroom.sendMessage({ to_agent: bob, content: "later", deliver_at }, call);
    await hive.send("now");
    await hive.mailroom.claimMessages({ agent_id: bob, lease_ms: 5_000 }, call);
    const inbox = await hive.mailroom.getInbox({ agent_id: bob }, call);
    assert.equal(inbox.next_available_at, deliver_at);
    assert.equal(inbox.next_lease_expires_at, new Date(hive.clock.now() + 5_000).toISOString());
    const all = await hive.mailroom.listDeadLetters({}, call);
    assert.deepEqual(all, { dead_letters: [] });
  });
});

describe("an agent's token", () => {
  const asBob = { caller: { actor: "bob", agent_id: bob, scopes: ["agent"] as const } };

  it("sends as its agent, and as no other", async () => {
    await using hive = await open();
    const sent = await hive.mailroom.sendMessage({ to_agent: ada, content: "from bob" }, asBob);
    assert.equal(sent.from_agent, bob);
    const forged = hive.mailroom.sendMessage({ from_agent: ada, to_agent: ada, content: "forged" }, asBob);
    await assert.rejects(forged, { code: "forbidden", message: /bob's/ });
  });
});

describe("health", () => {
  it("says no more than that it works to whoever shows no token, and does not use up what is measured", async () => {
    await using hive = await open();
    const anyone = { caller: { actor: "anyone", scopes: ["open"] as const } };
    assert.deepEqual(await hive.mailroom.health({}, anyone), { status: "ok" });
    await hive.send("1");
    const { status, store } = (await hive.mailroom.health({}, call)) as unknown as {
      status: string;
      store: { counts: { accepted: number } };
    };
    assert.deepEqual([status, store.counts.accepted], ["ok", 1]);
    assert.equal((await hive.mailroom.status()).counts.accepted, 1);
  });
});

it("an operator that names no sender writes as operator", async () => {
  await using hive = await open();
  const sent = await hive.mailroom.sendMessage({ to_agent: bob, content: "hello" }, call);
  assert.equal(sent.from_agent, "operator");
});

it("a death whose notice a crash swallowed is told to the sender at the next start, once", async () => {
  const settings = { max_attempts: 1 };
  const clock = clockAt();
  await using store = openMemoryStore({ clock, policy: deliveryPolicy(testConfig(settings)) });
  const { deliveries, fleet } = store;
  for (const agent_id of [ada, bob]) await fleet.putAgent({ agent_id }, "operator");
  const publication = aPublication();
  await deliveries.publish([publication]);
  const claimed = await deliveries.claim({ agent_id: bob, limit: 1, lease_ms: 1_000, actor: bob });
  assert.ok(claimed.outcome === "claimed" && claimed.deliveries[0]);
  const lease = { message_id: publication.id, lease_id: claimed.deliveries[0].lease_id };
  await deliveries.reject(lease, "cannot parse", { actor: bob });

  const notices: string[] = [];
  for (let start = 0; start < 2; start++) {
    await using hive = await openMailroom(
      () => ({ ...store, [Symbol.asyncDispose]: async () => undefined }),
      settings,
      clock,
    );
    await hive.mailroom[Symbol.asyncDispose]();
    const mail = await hive.mailroom.claimMessages({ agent_id: ada, limit: 9 }, call);
    notices.push(...mail.deliveries.map((it) => `${it.message.metadata["message_id"]}`));
  }
  assert.deepEqual(notices, [publication.id]);
});
