import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Delivery, LeaseId, MessageId } from "../../src/contract/messages.ts";
import { renderMarkdown } from "../../src/server/markdown.ts";
import { createOpenLeases } from "../../src/server/open-leases.ts";
import { parseJsonBytes, requireWellFormed } from "../../src/server/parse-json.ts";
import { createTicketOffice } from "../../src/server/tickets.ts";
import { clockAt, messageId } from "../support/fixtures.ts";

describe("parsing JSON", () => {
  it("gives back every value that JSON carries, as it was", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const bytes = Buffer.from(JSON.stringify(value));
        const parsed = parseJsonBytes(bytes);
        requireWellFormed(parsed, bytes);
        assert.deepEqual(parsed, JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("counts brackets outside of texts only", () => {
    const text = JSON.stringify({ a: '[{"\\'.repeat(5_000), b: ["]}".repeat(5_000)] });
    assert.deepEqual(parseJsonBytes(Buffer.from(text)), JSON.parse(text));
  });

  it("refuses deep nesting in time that grows with the size alone", () => {
    const bytes = Buffer.from(`{"a":${"[".repeat(10_000_000)}`);
    const started_ms = performance.now();
    assert.throws(() => parseJsonBytes(bytes), { code: "invalid_input", message: /nests deeper/ });
    // Parsing it first takes seconds.
    assert.ok(performance.now() - started_ms < 500);
  });
});

describe("a ticket", () => {
  const caller = { actor: "ada", scopes: ["agent"] } as const;

  it("opens one stream within 30 s", () => {
    const clock = clockAt();
    const tickets = createTicketOffice(clock);
    const { ticket, expires_at } = tickets.issue(caller);
    assert.equal(Date.parse(expires_at), clock.now() + 30_000);
    clock.advance(29_999);
    assert.equal(tickets.redeem(ticket), caller);
    assert.equal(tickets.redeem(ticket), undefined);
  });

  it("is void after 30 s, whatever the wall clock says", () => {
    const clock = clockAt();
    const tickets = createTicketOffice(clock);
    const { ticket } = tickets.issue(caller);
    clock.advance(30_000);
    clock.setWall(0);
    assert.equal(tickets.redeem(ticket), undefined);
  });

  it("is void when ten thousand newer ones wait", () => {
    const tickets = createTicketOffice(clockAt());
    const [oldest, ...rest] = Array.from({ length: 10_001 }, () => tickets.issue(caller));
    assert.equal(tickets.redeem(oldest?.ticket ?? ""), undefined);
    assert.equal(tickets.redeem(rest.at(0)?.ticket ?? ""), caller);
  });
});

describe("the leases of a connection", () => {
  const claimed = (leases: readonly string[], lease_expires_at = "2026-01-05T09:00:30.000Z") => ({
    deliveries: leases.map((lease_id) => ({ lease_id, lease_expires_at }) as unknown as Delivery),
  });
  const lease = (id: string) => ({ message_id: messageId() as MessageId, lease_id: id as LeaseId });

  it("are those claimed and neither acknowledged nor rejected, once", () => {
    const leases = createOpenLeases(clockAt().now);
    leases.note("claimMessages", {}, claimed(["a", "b", "c", "d", "e"]));
    leases.note("acknowledgeMessage", lease("a"), { acknowledged: true });
    leases.note("acknowledgeMessages", { acknowledgements: [lease("b")] }, { results: [] });
    leases.note("rejectMessage", lease("c"), {});
    leases.note("sendMessage", {}, {});
    assert.deepEqual(leases.takeAll(), ["d", "e"]);
    assert.deepEqual(leases.takeAll(), []);
  });

  it("are forgotten when they have run out and there are many", () => {
    const clock = clockAt(Date.parse("2026-01-05T09:00:00.000Z"));
    const leases = createOpenLeases(clock.now);
    const names = (prefix: string) => Array.from({ length: 600 }, (_, i) => `${prefix}${i}`);
    leases.note("claimMessages", {}, claimed(names("old")));
    leases.note("extendLease", lease("old7"), { lease_expires_at: "2026-01-05T10:00:00.000Z" });
    clock.advance(60_000);
    leases.note("claimMessages", {}, claimed(names("new"), "2026-01-05T09:05:00.000Z"));
    assert.deepEqual(leases.takeAll(), ["old7", ...names("new")]);
  });
});

describe("rendering Markdown", () => {
  it("knows what our documents use, and takes the rest for text", () => {
    const text = [
      "# The `title`",
      "",
      "One **bold** word, one [link](#here), `<code>`,",
      "and <b>text</b> with [no link](javascript:alert).",
      "",
      "- first",
      "  goes on",
      "- second",
      "",
      "| a | b |",
      "|---|---|",
      "| 1 | `2` |",
      "",
      "```sh",
      "curl -X <method>",
      "```",
    ].join("\n");
    assert.equal(
      renderMarkdown(text).replaceAll("\n", ""),
      [
        '<h1 id="the-title">The <code>title</code></h1>',
        '<p>One <strong>bold</strong> word, one <a href="#here">link</a>, <code>&lt;code&gt;</code>, ',
        "and &lt;b&gt;text&lt;/b&gt; with [no link](javascript:alert).</p>",
        "<ul><li>first goes on</li><li>second</li></ul>",
        "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td><code>2</code></td></tr></tbody></table>",
        "<pre><code>curl -X &lt;method&gt;</code></pre>",
      ].join(""),
    );
  });

  it("never lets markup through", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."<>&\"'`*[]()#|- \nabc/:"), maxLength: 80 }), (text) => {
        const tags = renderMarkdown(text).match(/<\/?([a-z0-9]+)[^>]*>/g) ?? [];
        assert.deepEqual(
          tags.filter(
            (it) =>
              !/^<\/?(h[1-6]( id="[\w-]*")?|p|ul|li|table|thead|tbody|tr|th|td|pre|code|strong|em|a( href="[^"<>]*")?)>$/.test(
                it,
              ),
          ),
          [],
        );
      }),
    );
  });
});
