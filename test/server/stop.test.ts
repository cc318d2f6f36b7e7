import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { BusError } from "../../src/contract/errors.ts";
import { startHive, token } from "./test-hive.ts";
import { openStream } from "./test-stream.ts";

/** So that a stop which waits for its time to run out shows. */
const patient = { stop_ms: 60_000 };

describe("a server that stops", () => {
  it("says good-bye to streams and listens no more", async () => {
    const hive = await startHive();
    const stream = await openStream(hive.url);
    await hive[Symbol.asyncDispose]();
    assert.deepEqual(await stream.closed, { code: 1001, reason: "the server is stopping" });
    const socket = connect(hive.port, "127.0.0.1");
    const [error] = await once(socket, "error");
    assert.equal(error.code, "ECONNREFUSED");
  });

  it("finishes what is under way, on every transport, and begins nothing new", async () => {
    const started = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    let under_way = 0;
    const hive = await startHive({
      config: patient,
      wrap: (mailroom) => ({
        ...mailroom,
        async getAgent(input, call) {
          under_way += 1;
          if (under_way === 2) started.resolve();
          await finish.promise;
          return mailroom.getAgent(input, call);
        },
      }),
    });
    const stream = await openStream(hive.url);
    const asked = [stream.ask("getAgent", { agent_id: "ada" }), hive.call("GET", "/agents/bob")] as const;
    await started.promise;
    const stopped = hive[Symbol.asyncDispose]();
    const { error } = await stream.ask("getAgent", { agent_id: "ada" });
    assert.deepEqual([error.code, error.retry_after_ms], ["unavailable", 1_000]);
    assert.deepEqual((await stream.ask("health")).output, { status: "stopping" });
    finish.resolve();
    const [overStream, overRest] = await Promise.all(asked);
    assert.deepEqual([overStream.output.agent_id, overRest.body.agent_id], ["ada", "bob"]);
    await stopped;
    assert.equal((await stream.closed).code, 1001);
  });

  it("refuses a request whose body comes too late", async () => {
    const hive = await startHive({ config: patient });
    const socket = connect(hive.port, "127.0.0.1");
    const headers = `Host: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
    socket.write(`POST /agents/ada/heartbeat HTTP/1.1\r\n${headers}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`);
    // "100 Continue": the server has read the headers.
    await once(socket, "data");
    const stopped = hive[Symbol.asyncDispose]();
    socket.write("{}");
    let text = "";
    for await (const chunk of socket) text += chunk;
    await stopped;
    assert.match(text, /^HTTP\/1\.1 503 [\s\S]*retry-after: 1[\s\S]*"code":"unavailable"/);
  });

  it("does not wait for connections on which nothing was asked, or nothing more is", async () => {
    const hive = await startHive({ config: patient });
    const silent = connect(hive.port, "127.0.0.1");
    await once(silent, "connect");
    await hive.call("GET", "/health");
    const closed = once(silent, "close");
    await hive[Symbol.asyncDispose]();
    await closed;
  });

  it("lets long polls return at once", async () => {
    const hive = await startHive({ config: patient });
    const stream = await openStream(hive.url);
    const wait = { agent_id: "bob", wait_ms: 60_000 };
    const polls = [
      stream.ask("claimMessages", wait).then((it) => it.output),
      hive.call("POST", "/agents/ada/inbox/claim", { body: { wait_ms: 60_000 } }).then((it) => it.body),
    ];
    // Answered in order: once this is, the polls wait.
    await stream.ask("getInbox", { agent_id: "bob" });
    await hive.call("GET", "/health");
    await hive[Symbol.asyncDispose]();
    assert.deepEqual(await Promise.all(polls), [{ deliveries: [] }, { deliveries: [] }]);
  });

  it("gives leases back before it says good-bye", async () => {
    const order: string[] = [];
    const hive = await startHive({
      config: patient,
      wrap: (mailroom) => ({
        ...mailroom,
        async subscribe(input, push, call) {
          const subscription = await mailroom.subscribe(input, push, call);
          return {
            addCredit: subscription.addCredit,
            async [Symbol.asyncDispose]() {
              await subscription[Symbol.asyncDispose]();
              order.push("subscription ended");
            },
          };
        },
        async releaseLeases(leases, reason) {
          await mailroom.releaseLeases(leases, reason);
          order.push(`${leases.length} released`);
        },
      }),
    });
    for (const to_agent of ["ada", "bob"])
      await hive.call("POST", "/messages", { body: { to_agent, content: "later" } });
    const stream = await openStream(hive.url);
    stream.ws.on("close", () => order.push("good-bye"));
    await stream.ask("subscribe", { agent_id: "bob", credit: 5 });
    await stream.ask("claimMessages", { agent_id: "ada" });
    await hive[Symbol.asyncDispose]();
    await stream.closed;
    assert.deepEqual(order, ["subscription ended", "1 released", "good-bye"]);
  });

  it("cuts off after stop_ms what will not end", async () => {
    const never = Promise.withResolvers<never>();
    const started = Promise.withResolvers<void>();
    const hive = await startHive({
      config: { stop_ms: 200 },
      wrap: (mailroom) => ({
        ...mailroom,
        async getAgent() {
          started.resolve();
          return never.promise;
        },
      }),
    });
    const stream = await openStream(hive.url);
    const unanswered = hive.call("GET", "/agents/bob").catch(() => "cut off");
    stream.ws.send('{"id":900,"op":"getAgent","input":{"agent_id":"ada"}}');
    await started.promise;
    await hive[Symbol.asyncDispose]();
    assert.equal(await unanswered, "cut off");
    assert.equal((await stream.closed).code, 1006);
    never.reject(new BusError("unavailable", "too late"));
  });
});

describe("a server that cannot listen", () => {
  it("says why", async () => {
    await using hive = await startHive();
    await assert.rejects(startHive({ config: { port: hive.port } }), { code: "EADDRINUSE" });
  });
});
