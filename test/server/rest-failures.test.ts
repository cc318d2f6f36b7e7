import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BusError } from "../../src/contract/errors.ts";
import type { LeaseId } from "../../src/contract/messages.ts";
import { messageId } from "../support/fixtures.ts";
import { agentToken, startHive } from "./test-hive.ts";

describe("REST, when things go wrong:", () => {
  describe("a long poll", () => {
    it("answers when mail comes", async () => {
      await using hive = await startHive();
      await hive.call("PUT", "/agents/cleo", { body: {} });
      const waiting = hive.call("POST", "/agents/cleo/inbox/claim", { body: { wait_ms: 20_000 } });
      await hive.call("POST", "/messages", { body: { to_agent: "cleo", content: "wake up" } });
      assert.deepEqual((await waiting).body.deliveries[0].message.content, "wake up");
    });

    it("is aborted when the client goes away", async () => {
      const aborted = Promise.withResolvers<void>();
      const started = Promise.withResolvers<void>();
      await using watched = await startHive({
        wrap: (mailroom) => ({
          ...mailroom,
          async claimMessages(_input, { signal }) {
            signal?.addEventListener("abort", () => aborted.resolve());
            started.resolve();
            await aborted.promise;
            return { deliveries: [] };
          },
        }),
      });
      const leaving = new AbortController();
      const poll = fetch(`${watched.url}/agents/bob/inbox/claim`, {
        method: "POST",
        headers: { authorization: "Bearer hvp_test_operator" },
        signal: leaving.signal,
      }).catch(() => "gone");
      await started.promise;
      leaving.abort();
      await aborted.promise;
      assert.equal(await poll, "gone");
    });

    it("gives back what was claimed for a client that has gone", async () => {
      const released = Promise.withResolvers<readonly LeaseId[]>();
      const gone = Promise.withResolvers<void>();
      const started = Promise.withResolvers<void>();
      await using watched = await startHive({
        wrap: (mailroom) => ({
          ...mailroom,
          // A claim that does not look at its signal, as when the abort comes just too late.
          async claimMessages(input, call) {
            const { signal: _late, ...rest } = call;
            call.signal?.addEventListener("abort", () => gone.resolve());
            started.resolve();
            await gone.promise;
            return mailroom.claimMessages(input, rest);
          },
          async releaseLeases(leases, reason) {
            await mailroom.releaseLeases(leases, reason);
            released.resolve(leases);
          },
        }),
      });
      await watched.call("POST", "/messages", { body: { to_agent: "bob", content: "for whom?" } });
      const leaving = new AbortController();
      const poll = fetch(`${watched.url}/agents/bob/inbox/claim`, {
        method: "POST",
        headers: { authorization: "Bearer hvp_test_operator" },
        signal: leaving.signal,
      }).catch(() => "gone");
      await started.promise;
      leaving.abort();
      await poll;
      assert.equal((await released.promise).length, 1);
      assert.equal((await watched.call("GET", "/agents/bob/inbox")).body.depth.normal.leased, 0);
    });
  });

  describe("an error", () => {
    it("of the bus is a problem document with its code and status", async () => {
      await using hive = await startHive();
      const { status, body } = await hive.call("GET", `/messages/${messageId()}`);
      const { detail, request_id, ...rest } = body;
      assert.deepEqual(
        [status, rest],
        [
          404,
          {
            type: "/docs/errors#message_not_found",
            title: "Message not found",
            status: 404,
            code: "message_not_found",
          },
        ],
      );
      assert.ok(detail && request_id);
    });

    it("that passes says when, in whole seconds, and in milliseconds", async () => {
      await using full = await startHive({
        wrap: (mailroom) => ({
          ...mailroom,
          async sendMessage() {
            throw new BusError("inbox_full", "full", { retry_after_ms: 1_200 });
          },
        }),
      });
      const { status, headers, body } = await full.call("POST", "/messages", {
        body: { to_agent: "bob", content: "x" },
      });
      assert.deepEqual([status, headers.get("retry-after"), body.retry_after_ms], [429, "2", 1_200]);
    });

    it("that nobody expected is told as internal with the id of its line in the log", async () => {
      const logged: object[] = [];
      const note = (fields: object) => logged.push(fields);
      await using broken = await startHive({
        log: { debug: () => undefined, info: () => undefined, warn: note, error: note },
        wrap: (mailroom) => ({
          ...mailroom,
          async getAgent() {
            throw new Error("secret detail");
          },
        }),
      });
      const { status, body, text } = await broken.call("GET", "/agents/ada");
      assert.deepEqual([status, body.code], [500, "internal"]);
      assert.ok(!text.includes("secret detail") && body.detail.includes(body.request_id));
      assert.deepEqual(
        logged.map((it) => (it as { request_id: string }).request_id),
        [body.request_id],
      );
    });
  });

  it("writes neither tokens nor content nor queries into the log", async () => {
    const lines: string[] = [];
    const note = (fields: object, text: string) => lines.push(JSON.stringify(fields) + text);
    await using logged = await startHive({ log: { debug: note, info: note, warn: note, error: note } });
    await logged.call("POST", "/messages", { body: { to_agent: "bob", content: "top secret" } });
    await logged.call("GET", "/messages?q=secret", { headers: { authorization: `Bearer ${agentToken}` } });
    await logged.call("GET", "/agents", { headers: { authorization: "Bearer guess-secret" } });
    await logged.call("GET", "/stream?ticket=secret-ticket");
    const log = lines.join("\n");
    assert.match(log, /"method":"POST","route":"\/messages","status":201/);
    assert.doesNotMatch(log, /secret|hvp_test/);
  });
});
