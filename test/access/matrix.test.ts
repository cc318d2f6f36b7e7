import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Call, Caller, Mailroom } from "../../src/app/mailroom.ts";
import { invariant } from "../../src/base/invariant.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { ConversationId, Cursor, Delivery, Message, MessageId } from "../../src/contract/messages.ts";
import type { Operation, Touches } from "../../src/contract/operation.ts";
import { operations } from "../../src/contract/operations.ts";
import { type OperationName, operationNames } from "../../src/contract/routes.ts";
import type { TokenScope } from "../../src/contract/tokens.ts";
import { makeAgentKeys, publicKeysOf } from "../../src/crypto/sealed/keys.ts";
import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { ada, bob, cleo } from "../support/fixtures.ts";
import { openMailroom, operatorCall } from "../support/hives.ts";

/*
 * Every operation × every kind of caller × what is its own and what is another's. What is expected is worked out from the
 * table of operations; how each operation is asked stands in `inputs`, where the compiler misses a new one.
 */

/** bob's side of the world, and that of others: what ada and cleo have with each other. */
type Side = {
  readonly agent: typeof bob;
  readonly message: Message;
  readonly leased: Delivery;
  readonly conversation: ConversationId;
};
type World = AsyncDisposable & {
  readonly mailroom: Mailroom;
  readonly own: Side;
  readonly foreign: Side;
  readonly key_id: string;
};

/** Before the first event. */
const startOfEvents = Buffer.from('["event",0]').toString("base64url") as Cursor;

const keys = publicKeysOf(await makeAgentKeys(0));

/** Stands in every message that is none of bob's. */
const foreignWords = "between ada and cleo";

async function createWorld(): Promise<World> {
  const opened = await openMailroom(async (options) => openMemoryStore(options), { max_attempts: 1 });
  const { mailroom } = opened;
  for (const agent_id of [ada, bob, cleo]) await mailroom.registerAgent({ agent_id, keys }, operatorCall);
  const side = async (agent: typeof bob, content: string): Promise<Side> => {
    const send = () => mailroom.sendMessage({ from_agent: ada, to_agent: agent, content }, operatorCall);
    const claimOne = async () => {
      const { deliveries } = await mailroom.claimMessages({ agent_id: agent }, operatorCall);
      invariant(deliveries[0], "there is one to claim");
      return deliveries[0];
    };
    const message = await send();
    const { message: dead, lease_id } = await claimOne();
    await mailroom.rejectMessage({ message_id: dead.id, lease_id }, operatorCall);
    await send();
    const leased = await claimOne();
    await send();
    return { agent, message, leased, conversation: message.conversation_id };
  };
  const own = await side(bob, "between ada and bob");
  const foreign = await side(cleo, foreignWords);
  const { key_id } = await mailroom.createToken({ scopes: ["observe"] }, operatorCall);
  return { mailroom, own, foreign, key_id, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

const content = "hello";
const leaseOf = ({ leased: { message, lease_id } }: Side) => ({ message_id: message.id, lease_id });
const inputs: { readonly [Name in OperationName]: (side: Side, world: World) => object } = {
  sendMessage: ({ agent }) => ({ from_agent: agent, to_agent: ada, content }),
  sendMessages: ({ agent }) => ({ messages: [{ from_agent: agent, to_agent: ada, content }] }),
  importMessages: ({ agent }) => ({
    messages: [{ from_agent: agent, to_agent: ada, content, timestamp: "2026-01-01T00:00:00Z" }],
  }),
  claimMessages: ({ agent }) => ({ agent_id: agent }),
  acknowledgeMessages: (side) => ({ acknowledgements: [leaseOf(side)] }),
  acknowledgeMessage: leaseOf,
  rejectMessage: leaseOf,
  extendLease: (side) => ({ ...leaseOf(side), lease_ms: 1_000 }),
  recordEvidence: (side) => ({ ...leaseOf(side), event: "seen" }),
  getMessage: ({ message }) => ({ message_id: message.id }),
  searchMessages: ({ agent }) => ({ participant: agent, q: "between" }),
  createConversation: ({ agent }) => ({ participants: [agent, ada] }),
  listConversations: ({ agent }) => ({ participant: agent }),
  getConversation: ({ conversation }) => ({ conversation_id: conversation }),
  updateConversation: ({ conversation }) => ({ conversation_id: conversation, status: "archived" }),
  getInbox: ({ agent }) => ({ agent_id: agent }),
  listDeadLetters: ({ agent }) => ({ agent_id: agent }),
  redriveDeadLetters: ({ agent }) => ({ agent_id: agent }),
  registerAgent: ({ agent }) => ({ agent_id: agent, groups: ["g"] }),
  listAgents: () => ({}),
  getAgent: ({ agent }) => ({ agent_id: agent }),
  getAgentKeys: ({ agent }) => ({ agent_id: agent }),
  removeAgent: ({ agent }) => ({ agent_id: agent }),
  heartbeat: ({ agent }) => ({ agent_id: agent }),
  createToken: () => ({ scopes: ["observe"] }),
  listTokens: () => ({}),
  revokeToken: (_, { key_id }) => ({ key_id }),
  getKeys: () => ({}),
  rotateKeys: () => ({}),
  rewrapKeys: () => ({}),
  reencryptMessages: () => ({}),
  readAudit: () => ({}),
  health: () => ({}),
};

/** What bob is told of what is another's, where his token has the scope for the operation. */
const refusals: Readonly<Record<Touches, readonly string[]>> = {
  agent: ["forbidden"],
  sender: ["forbidden"],
  lease: ["message_not_found"],
  message: ["message_not_found"],
  messages: ["ok", "forbidden"],
  conversation: ["conversation_not_found", "forbidden"],
  conversations: ["forbidden"],
  hive: [],
  nothing: ["ok"],
};

const kinds: Readonly<Record<string, Caller>> = {
  anyone: { actor: "anyone", scopes: ["open"] },
  "the agent": aCaller("agent"),
  "the agent, who may observe": aCaller("agent", "observe"),
  "the agent, who may operate": aCaller("agent", "operate"),
  "an observer": aCaller("observe"),
  "an operator": aCaller("operate"),
  "an admin": aCaller("admin"),
};

function aCaller(...scopes: readonly TokenScope[]): Caller {
  return { actor: "someone", scopes, ...(scopes.includes("agent") && { agent_id: bob }) };
}

for (const [kind, caller] of Object.entries(kinds)) {
  describe(`${kind}, asking`, () => {
    for (const name of operationNames) {
      it(`${name} of its own`, async () => {
        await using world = await createWorld();
        const { told, text } = await ask(world, name, world.own, caller);
        assert.equal(told, isAllowed(name, caller) ? "ok" : "forbidden");
        if (!maySeeAll(name, caller)) assert.ok(!text.includes(foreignWords), text);
      });

      it(`${name} of another's`, async () => {
        await using world = await createWorld();
        const { told, text } = await ask(world, name, world.foreign, caller);
        if (!isAllowed(name, caller)) assert.equal(told, "forbidden");
        else if (isFree(name, caller)) assert.equal(told, "ok");
        else assert.ok(refusals[tableOf(name).touches].includes(told), told);
        if (!maySeeAll(name, caller)) assert.ok(!text.includes(foreignWords), text);
      });
    }
  });
}

describe("a void token", () => {
  const caller = { ...aCaller("admin"), voided: AbortSignal.abort() };
  for (const name of operationNames) {
    it(`cannot ask ${name}`, async () => {
      await using world = await createWorld();
      assert.equal((await ask(world, name, world.own, caller)).told, "unauthenticated");
    });
  }

  it("gets nothing pushed", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    const subscribed = mailroom.subscribe({ agent_id: bob, credit: 1 }, () => undefined, { caller });
    await assert.rejects(subscribed, { code: "unauthenticated" });
    await assert.rejects(
      mailroom.follow({}, async () => undefined, { caller }),
      { code: "unauthenticated" },
    );
  });

  it("stops waiting for mail when it becomes void, and takes none", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    await mailroom.claimMessages({ agent_id: bob, limit: 10 }, operatorCall);
    const voided = new AbortController();
    const bobs: Call = { caller: { ...aCaller("agent"), voided: voided.signal } };
    const waiting = mailroom.claimMessages({ agent_id: bob, wait_ms: 60_000 }, bobs);
    await mailroom.health({}, operatorCall);
    voided.abort();
    assert.deepEqual(await waiting, { deliveries: [] });
  });
});

describe("an agent's token", () => {
  const call: Call = { caller: aCaller("agent") };

  it("subscribes to its own inbox alone", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    await using _ = await mailroom.subscribe({ agent_id: bob, credit: 1 }, () => undefined, call);
    const other = mailroom.subscribe({ agent_id: cleo, credit: 1 }, () => undefined, call);
    await assert.rejects(other, { code: "forbidden" });
  });

  it("hears of its own mail, its conversations and the fleet, and of nobody else's", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    const heard: string[] = [];
    const all: string[] = [];
    const following = { after: startOfEvents };
    await using _own = await mailroom.follow(
      following,
      async (events) => void heard.push(...events.map((it) => `${it.event} ${it.message_id ?? it.agent_id}`)),
      call,
    );
    await using _all = await mailroom.follow(
      following,
      async (events) => void all.push(...events.map((it) => `${it.event} ${it.message_id ?? it.agent_id}`)),
      operatorCall,
    );
    await mailroom.sendMessage({ from_agent: ada, to_agent: cleo, content }, operatorCall);
    const last = await mailroom.sendMessage({ to_agent: ada, content }, call);
    const isThere = (events: readonly string[]) => events.some((it) => it.endsWith(last.id));
    while (!isThere(heard) || !isThere(all)) await new Promise((resolve) => setImmediate(resolve));
    const foreignIds = new Set(
      (await mailroom.searchMessages({ participant: cleo }, operatorCall)).messages.map((it) => it.id),
    );
    assert.ok(heard.includes(`agent_registered ${cleo}`));
    assert.ok(heard.some((it) => it.endsWith(world.own.message.id)));
    assert.deepEqual(
      heard.filter((it) => foreignIds.has(it.split(" ")[1] as MessageId)),
      [],
    );
    assert.ok(all.some((it) => it.endsWith(world.foreign.message.id)));
  });

  it("reads all of a conversation that its agent takes part in, and nothing of another", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    const shared = await mailroom.createConversation({ participants: [ada, bob, cleo] }, operatorCall);
    const conversation_id = shared.id;
    await mailroom.sendMessage({ from_agent: ada, to_agent: cleo, content, conversation_id }, operatorCall);
    const found = await mailroom.searchMessages({ conversation_id }, call);
    assert.deepEqual(
      found.messages.map((it) => it.to_agent),
      [cleo],
    );
    const first = found.messages[0];
    invariant(first, "there is one");
    assert.equal((await mailroom.getMessage({ message_id: first.id }, call)).id, first.id);
    const foreign = mailroom.searchMessages({ conversation_id: world.foreign.conversation }, call);
    await assert.rejects(foreign, { code: "conversation_not_found" });
  });

  it("sees only its own where it asks for everything", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    const { messages } = await mailroom.searchMessages({}, call);
    assert.ok(messages.length > 0 && messages.every((it) => it.to_agent === bob || it.from_agent === bob));
    const { conversations } = await mailroom.listConversations({}, call);
    assert.deepEqual(
      conversations.map((it) => it.participants),
      [[ada, bob]],
    );
    const { dead_letters } = await mailroom.listDeadLetters({}, call);
    assert.deepEqual(
      dead_letters.map((it) => it.agent_id),
      [bob],
    );
  });

  it("learns nothing of a message by using its id again", async () => {
    await using world = await createWorld();
    const again = world.mailroom.sendMessage({ id: world.foreign.message.id, to_agent: cleo, content }, call);
    await assert.rejects(again, (error) => error instanceof BusError && !error.message.includes(foreignWords));
  });

  it("cannot write into a conversation of others, nor answer what it cannot read", async () => {
    await using world = await createWorld();
    const { mailroom, foreign } = world;
    const into = mailroom.sendMessage({ to_agent: ada, content, conversation_id: foreign.conversation }, call);
    await assert.rejects(into, { code: "conversation_not_found" });
    const answer = mailroom.sendMessage({ to_agent: ada, content, reply_to: foreign.message.id }, call);
    await assert.rejects(answer, { code: "message_not_found" });
  });

  it("takes no name under which another agent has a token", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    const dan = "dan" as typeof bob;
    await mailroom.createToken({ scopes: ["agent"], agent_id: dan }, operatorCall);
    const squatting = mailroom.registerAgent({ agent_id: bob, aliases: [dan] }, call);
    await assert.rejects(squatting, { code: "alias_taken" });
    await mailroom.registerAgent({ agent_id: bob, aliases: [dan] }, operatorCall);
  });

  it("takes no name under which operators or the bus write, to whom others answer", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    for (const name of ["operator", "hivepost"] as (typeof bob)[]) {
      const squatting = mailroom.registerAgent({ agent_id: bob, aliases: [name] }, call);
      await assert.rejects(squatting, { code: "alias_taken" });
      const answer = mailroom.sendMessage({ to_agent: name, content }, call);
      await assert.rejects(answer, { code: "agent_not_found" });
      await mailroom.registerAgent({ agent_id: name }, operatorCall);
    }
  });

  it("keeps no name that it took before the other agent had a token: that token is not made", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    const dan = "dan" as typeof bob;
    await mailroom.registerAgent({ agent_id: bob, aliases: [dan] }, call);
    const making = () => mailroom.createToken({ scopes: ["agent"], agent_id: dan }, operatorCall);
    await assert.rejects(making, { code: "alias_taken", message: /means the agent bob/ });
    await mailroom.registerAgent({ agent_id: bob }, operatorCall);
    assert.equal((await making()).agent_id, dan);
  });

  it("speaks for its agent under every name that one has", async () => {
    await using world = await createWorld();
    const { mailroom } = world;
    const bobby = "bobby" as typeof bob;
    await mailroom.registerAgent({ agent_id: bob, aliases: [bobby] }, call);
    await mailroom.heartbeat({ agent_id: bobby }, call);
    assert.equal((await mailroom.sendMessage({ from_agent: bobby, to_agent: ada, content }, call)).from_agent, bob);
  });
});

describe("a refusal", () => {
  it("names each scope that would do, once", async () => {
    await using world = await createWorld();
    const told = async (name: OperationName) => (await ask(world, name, world.own, aCaller("observe"))).text;
    assert.match(await told("createToken"), /with the scope admin$/);
    assert.match(await told("sendMessage"), /with one of the scopes agent, operate, admin$/);
  });
});

async function ask(world: World, name: OperationName, side: Side, caller: Caller) {
  // The compiler cannot follow which input belongs to which operation.
  const operation = world.mailroom[name] as (input: object, call: Call) => Promise<object>;
  try {
    const output = await operation(inputs[name](side, world), { caller });
    return { told: refusalIn(output) ?? "ok", text: JSON.stringify(output) };
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    return { told: error.code, text: error.message };
  }
}

/** What a batch says of its one item. */
function refusalIn(output: { results?: readonly { ok?: boolean; error?: { code: string }; reason?: string }[] }) {
  const [result] = output.results ?? [];
  return result?.error?.code ?? result?.reason;
}

function isAllowed(name: OperationName, { scopes }: Caller): boolean {
  return tableOf(name).scopes.some((it) => it === "open" || scopes.includes(it)) || scopes.includes("admin");
}

/** Whether the caller is not bound to one agent for this operation. */
function isFree(name: OperationName, caller: Caller): boolean {
  const isRead = tableOf(name).scopes.includes("observe");
  const freeing: readonly TokenScope[] = isRead ? ["observe", "operate", "admin"] : ["operate", "admin"];
  return freeing.some((it) => caller.scopes.includes(it)) || caller.scopes.includes("open");
}

function maySeeAll(name: OperationName, caller: Caller): boolean {
  return isAllowed(name, caller) && isFree(name, caller);
}

function tableOf(name: OperationName): Operation {
  return operations[name];
}
