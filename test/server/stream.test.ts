import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { silentLog } from "../../src/base/log.ts";
import type { Delivery, LeaseId } from "../../src/contract/messages.ts";
import { Delivery as DeliverySchema } from "../../src/contract/messages.ts";
import { messageId } from "../support/fixtures.ts";
import { agentToken, startHive, type TestHive, token } from "./test-hive.ts";
import { openStream, refusalOf, type TestStream } from "./test-stream.ts";

describe("the stream", () => {
  let hive: TestHive;
  before(async () => {
    hive = await startHive();
  });
  after(() => hive[Symbol.asyncDispose]());

  const register = (agent_id: string) => hive.call("PUT", `/agents/${agent_id}`, { body: {} });
  const send = (to_agent: string, content = "hello") => hive.call("POST", "/messages", { body: { to_agent, content } });
  const leasedBy = async (agent_id: string) =>
    (await hive.call("GET", `/agents/${agent_id}/inbox`)).body.depth.normal.leased as number;

  describe("opens", () => {
    it("with a token in the Authorization header, for the subprotocol hivepost.v1", async () => {
      await using stream = await openStream(hive.url, { protocols: ["other", "hivepost.v1"] });
      assert.equal(stream.ws.protocol, "hivepost.v1");
      assert.equal(stream.ws.extensions, "");
    });

    it("once with a ticket, as its owner", async () => {
      const headers = { authorization: `Bearer ${agentToken}` };
      const { status, body } = await hive.call("POST", "/stream/ticket", { headers });
      assert.equal(status, 201);
      assert.ok(Date.parse(body.expires_at) > Date.now());
      const options = { headers: {}, query: `?ticket=${body.ticket}` };
      {
        await using stream = await openStream(hive.url, options);
        const { output } = await stream.ask("sendMessage", { to_agent: "bob", content: "from whom?" });
        assert.equal(output.from_agent, "ada");
      }
      assert.equal((await refusalOf(hive.url, options)).status, 401);
    });

    const refusals: [what: string, status: number, told: RegExp, options: Parameters<typeof refusalOf>[1]][] = [
      ["without the subprotocol", 400, /offer the subprotocol hivepost\.v1/, { protocols: [] }],
      ["with another subprotocol only", 400, /offer the subprotocol/, { protocols: ["mqtt"] }],
      ["without a token", 401, /no token/, { headers: {} }],
      ["with a wrong token", 401, /not valid/, { headers: { authorization: "Bearer wrong" } }],
      ["with a made-up ticket", 401, /ticket/, { headers: {}, query: "?ticket=abc" }],
      [
        "from another site's page",
        403,
        /may not call/,
        { headers: { authorization: `Bearer ${token}`, origin: "http://evil.example" } },
      ],
      [
        "under another name",
        403,
        /does not name this server/,
        { headers: { authorization: `Bearer ${token}`, host: "evil.example" } },
      ],
      ["elsewhere", 404, /open at \/stream/, { query: "/../elsewhere" }],
    ];
    for (const [what, status, told, options] of refusals) {
      it(`not ${what}`, async () => {
        const refused = await refusalOf(hive.url, options);
        assert.equal(refused.status, status);
        assert.match(refused.body.detail, told);
      });
    }

    it("by WebSocket only", async () => {
      const { status, headers } = await hive.call("GET", "/stream");
      assert.deepEqual([status, headers.get("upgrade")], [426, "websocket"]);
    });
  });

  describe("a request", () => {
    it("is any operation, with the same output as over REST", async () => {
      await using stream = await openStream(hive.url);
      const sent = await stream.ask("sendMessage", { to_agent: "bob", content: "héllo ✓ 🐝", metadata: { a: [1] } });
      assert.deepEqual([sent.ok, sent.output.content], [true, "héllo ✓ 🐝"]);
      const found = await stream.ask("getMessage", { message_id: sent.output.id });
      const overRest = await hive.call("GET", `/messages/${sent.output.id}`);
      assert.deepEqual(found.output, overRest.body);
      assert.deepEqual((await stream.ask("health")).output.status, "ok");
    });

    it("may follow another before that is answered", async () => {
      await using stream = await openStream(hive.url);
      const asked = Array.from({ length: 200 }, (_, i) =>
        stream.ask("sendMessage", { to_agent: "bob", content: `${i}` }),
      );
      const contents = (await Promise.all(asked)).map((it) => it.output.content);
      assert.deepEqual(
        contents,
        Array.from({ length: 200 }, (_, i) => `${i}`),
      );
    });

    it("that fails is told by its code", async () => {
      await using stream = await openStream(hive.url);
      const { ok, error } = await stream.ask("getMessage", { message_id: messageId() });
      assert.deepEqual([ok, error.code], [false, "message_not_found"]);
      const wrong = await stream.ask("sendMessage", { to_agent: "bob", content: 1 });
      assert.match(wrong.error.message, /\/content: expected text/);
      assert.equal((await stream.ask("constructor")).error.code, "operation_not_found");
    });

    const invalid: [frame: string, id: number | null, told: RegExp][] = [
      ["[1]", null, /a frame is an object/],
      ["null", null, /a frame is an object/],
      ['{"op":"health"}', null, /id: expected a whole number/],
      ['{"id":-1,"op":"health"}', null, /id: expected/],
      ['{"id":1.5,"op":"health"}', null, /id: expected/],
      ['{"id":"1","op":"health"}', null, /id: expected/],
      ['{"id":1}', 1, /op: expected/],
      ['{"id":2,"op":"health","inputs":{}}', 2, /inputs: unknown field/],
      ['{"id":3,"op":"health","input":[]}', 3, /the input: expected an object/],
      ['{"id":4,"op":"health","input":null}', 4, /the input: expected an object/],
      ['{"id":5,"op":"sendMessage","input":{"to_agent":"bob","content":"\\ud800"}}', 5, /surrogate/],
      ['{"id":6,"op":"health","__proto__":{}}', 6, /__proto__: unknown field/],
      ['{"id":7,"op":"subscribe","input":{"agent_id":"bob"}}', 7, /\/credit: expected a whole number/],
      ['{"id":8,"op":"subscribe","input":{"agent_id":"bob","credit":0}}', 8, /\/credit: expected a whole number/],
      ['{"id":9,"op":"follow","input":{"since":1}}', 9, /\/since: unknown field/],
    ];
    for (const [frame, id, told] of invalid) {
      it(`is refused and the connection kept: ${frame}`, async () => {
        await using stream = await openStream(hive.url);
        stream.ws.send(frame);
        const answer = await stream.next();
        assert.deepEqual([answer.id, answer.ok, answer.error.code], [id, false, "invalid_input"]);
        assert.match(answer.error.message, told);
        assert.equal((await stream.ask("health")).ok, true);
      });
    }

    it("may be as large as a batch only where it is one", async () => {
      await using stream = await openStream(hive.url);
      const content = "x".repeat(300_000);
      const batch = await stream.ask("sendMessages", { messages: [{ to_agent: "bob", content }] });
      assert.equal(batch.output.results[0].ok, true);
      assert.equal((await stream.ask("sendMessage", { to_agent: "bob", content })).error.code, "body_too_large");
    });
  });

  describe("is closed", () => {
    const ends: [what: string, code: number, act: (stream: TestStream) => void][] = [
      ["for a binary frame", 1003, ({ ws }) => ws.send(Buffer.from("{}"))],
      ["for text that is no JSON", 1007, ({ ws }) => ws.send('{"id":1,')],
      ["for invalid UTF-8", 1007, ({ ws }) => ws.send(Buffer.from([0xff]), { binary: false })],
      [
        "for JSON without an end to its nesting",
        1007,
        ({ ws }) => ws.send(`{"id":1,"op":"health","input":${"[".repeat(10_000)}`),
      ],
      ["for a frame larger than any batch", 1009, ({ ws }) => ws.send("x".repeat(17 * 1_024 * 1_024))],
    ];
    for (const [what, code, act] of ends) {
      it(`with ${code} ${what}`, async () => {
        await using stream = await openStream(hive.url);
        act(stream);
        assert.equal((await stream.closed).code, code);
      });
    }

    it("only after the request at fault was told, where its id can be read", async () => {
      await using stream = await openStream(hive.url);
      stream.ws.send('{"id":41,"op":');
      const { id, error } = await stream.next();
      assert.deepEqual([id, error.code], [41, "invalid_input"]);
      assert.equal((await stream.closed).code, 1007);
    });
  });

  describe("a subscription", () => {
    it("pushes what waits and what comes, after its own answer, as long as there is credit", async () => {
      await register("cleo");
      await send("cleo", "one");
      await using stream = await openStream(hive.url);
      stream.ws.send('{"id":900,"op":"subscribe","input":{"agent_id":"cleo","credit":2}}');
      assert.deepEqual(await stream.next(), { id: 900, ok: true, output: {} });
      const first = await stream.next();
      assert.deepEqual([first.event, first.delivery.message.content, first.delivery.attempt], ["delivery", "one", 1]);
      await send("cleo", "two");
      await send("cleo", "three");
      assert.equal((await stream.next()).delivery.message.content, "two");
      assert.equal(await leasedBy("cleo"), 2);
      const { lease_id, message } = first.delivery;
      await stream.ask("acknowledgeMessage", { message_id: message.id, lease_id });
      assert.equal((await stream.next()).delivery.message.content, "three");
      await send("cleo", "four");
      assert.equal(await leasedBy("cleo"), 2);
      assert.equal((await stream.ask("credit", { agent_id: "cleo", credit: 1 })).ok, true);
      assert.equal((await stream.next()).delivery.message.content, "four");
    });

    it("gives its leases back when it ends", async () => {
      await register("dora");
      await send("dora");
      await using stream = await openStream(hive.url);
      await stream.ask("subscribe", { agent_id: "dora", credit: 5 });
      await stream.next();
      assert.equal((await stream.ask("unsubscribe", { agent_id: "dora" })).ok, true);
      assert.equal(await leasedBy("dora"), 0);
      assert.equal((await stream.ask("unsubscribe", { agent_id: "dora" })).error.code, "invalid_input");
      assert.equal((await stream.ask("credit", { agent_id: "dora", credit: 1 })).error.code, "invalid_input");
    });

    it("is one per agent and connection, and none for nobody", async () => {
      await using stream = await openStream(hive.url);
      await stream.ask("subscribe", { agent_id: "ada", credit: 1 });
      assert.match((await stream.ask("subscribe", { agent_id: "ada", credit: 1 })).error.message, /already/);
      assert.equal((await stream.ask("subscribe", { agent_id: "nobody", credit: 1 })).error.code, "agent_not_found");
      assert.equal((await stream.ask("credit", { agent_id: "nobody", credit: 1 })).error.code, "invalid_input");
    });

    it("is one of at most a thousand on a connection", async () => {
      await using watched = await startHive({
        wrap: (mailroom) => ({
          ...mailroom,
          async subscribe() {
            return { addCredit: () => undefined, [Symbol.asyncDispose]: async () => undefined };
          },
        }),
      });
      await using stream = await openStream(watched.url);
      const answers = Array.from({ length: 1_001 }, (_, i) =>
        stream.ask("subscribe", { agent_id: `a${i}`, credit: 1 }),
      );
      const last = (await Promise.all(answers)).at(-1);
      assert.match(last.error.message, /at most 1000 subscriptions/);
    });

    it("pushes every field of a delivery", async () => {
      const pushed = Promise.withResolvers<(deliveries: readonly Delivery[]) => void>();
      await using watched = await startHive({
        wrap: (mailroom) => ({
          ...mailroom,
          async subscribe(_input, push) {
            pushed.resolve(push);
            return { addCredit: () => undefined, [Symbol.asyncDispose]: async () => undefined };
          },
        }),
      });
      const { body: message } = await watched.call("POST", "/messages", { body: { to_agent: "bob", content: "all" } });
      const delivery = {
        message,
        agent_id: "bob",
        lease_id: 'quoted "lease"',
        lease_expires_at: "2026-01-05T09:00:00.000Z",
        attempt: 3,
      } as Delivery;
      assert.deepEqual(Object.keys(delivery), Object.keys(DeliverySchema.properties));
      await using stream = await openStream(watched.url);
      await stream.ask("subscribe", { agent_id: "bob", credit: 1 });
      (await pushed.promise)([delivery]);
      assert.deepEqual(await stream.next(), { event: "delivery", delivery });
      (await pushed.promise)([{ ...delivery, message: { ...message, acknowledged: true } }]);
      assert.equal((await stream.next()).delivery.message.acknowledged, true);
    });
  });

  describe("following", () => {
    it("pushes events as they stand, from a cursor, and one at a time", async () => {
      await register("eve");
      await using stream = await openStream(hive.url);
      const { cursor } = (await stream.ask("follow")).output;
      await send("eve", "watched");
      const events = [await stream.next(), await stream.next()];
      assert.deepEqual(
        events.map((it) => it.event),
        ["conversation_opened", "accepted"],
      );
      assert.equal((await stream.ask("follow")).error.code, "invalid_input");
      await using resumed = await openStream(hive.url);
      await resumed.ask("follow", { after: events[0].cursor });
      assert.deepEqual(await resumed.next(), events[1]);
      await using fromTheStart = await openStream(hive.url);
      await fromTheStart.ask("follow", { after: cursor });
      assert.deepEqual(await fromTheStart.next(), events[0]);
    });

    it("is refused for a cursor that is none, and may be tried again", async () => {
      await using stream = await openStream(hive.url);
      assert.equal((await stream.ask("follow", { after: "nonsense" })).error.code, "invalid_cursor");
      assert.equal((await stream.ask("follow")).ok, true);
    });

    it("tells by a second answer when it ends by itself", async () => {
      const failed = Promise.withResolvers<never>();
      await using watched = await startHive({
        wrap: (mailroom) => ({
          ...mailroom,
          async follow() {
            return { cursor: "start" as never, ended: failed.promise, [Symbol.asyncDispose]: async () => undefined };
          },
        }),
      });
      await using stream = await openStream(watched.url);
      stream.ws.send('{"id":900,"op":"follow"}');
      assert.equal((await stream.next()).ok, true);
      failed.reject(new Error("broken"));
      const { id, ok, error } = await stream.next();
      assert.deepEqual([id, ok, error.code], [900, false, "internal"]);
    });
  });

  describe("when its connection closes", () => {
    it("gives back at once what was pushed and what was claimed over it", async () => {
      await register("finn");
      await register("gus");
      for (const agent_id of ["finn", "gus", "gus"]) await send(agent_id);
      {
        await using stream = await openStream(hive.url);
        await stream.ask("subscribe", { agent_id: "finn", credit: 5 });
        await stream.next();
        const { output } = await stream.ask("claimMessages", { agent_id: "gus", limit: 2 });
        const [{ message, lease_id }] = output.deliveries;
        await stream.ask("acknowledgeMessage", { message_id: message.id, lease_id });
        assert.deepEqual([await leasedBy("finn"), await leasedBy("gus")], [1, 1]);
      }
      const again = await hive.call("POST", "/agents/gus/inbox/claim", { body: { wait_ms: 20_000 } });
      assert.equal(again.body.deliveries[0].attempt, 2);
      const finns = await hive.call("POST", "/agents/finn/inbox/claim", { body: { wait_ms: 20_000 } });
      assert.equal(finns.body.deliveries.length, 1);
    });

    it("leaves the leases to run out where they cannot be given back, and says so in the log", async () => {
      const logged = Promise.withResolvers<string>();
      await using watched = await startHive({
        log: { ...silentLog, error: (_, text) => logged.resolve(text) },
        wrap: (mailroom) => ({
          ...mailroom,
          async releaseLeases() {
            throw new Error("the disk is gone");
          },
        }),
      });
      await watched.call("POST", "/messages", { body: { to_agent: "bob", content: "stuck" } });
      {
        await using stream = await openStream(watched.url);
        await stream.ask("claimMessages", { agent_id: "bob" });
      }
      assert.match(await logged.promise, /cannot give back the leases/);
    });

    it("stops waiting for mail, and gives back what came too late", async () => {
      const given = Promise.withResolvers<readonly LeaseId[]>();
      const gone = Promise.withResolvers<void>();
      const started = Promise.withResolvers<void>();
      await using watched = await startHive({
        wrap: (mailroom) => ({
          ...mailroom,
          async claimMessages(input, { caller, signal }) {
            signal?.addEventListener("abort", () => gone.resolve());
            started.resolve();
            await gone.promise;
            return mailroom.claimMessages(input, { caller });
          },
          async releaseLeases(leases, reason) {
            await mailroom.releaseLeases(leases, reason);
            given.resolve(leases);
          },
        }),
      });
      await watched.call("POST", "/messages", { body: { to_agent: "bob", content: "late" } });
      {
        await using stream = await openStream(watched.url);
        stream.ws.send('{"id":1,"op":"claimMessages","input":{"agent_id":"bob","wait_ms":60000}}');
        await started.promise;
      }
      assert.equal((await given.promise).length, 1);
      assert.equal((await watched.call("GET", "/agents/bob/inbox")).body.depth.normal.leased, 0);
    });
  });
});
