import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createCursors, eventCursor, eventPosition } from "../../src/app/cursors.ts";
import { createLockout } from "../../src/app/lockout.ts";
import type { Caller } from "../../src/app/mailroom.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { Cursor } from "../../src/contract/messages.ts";
import { hashToken, makeToken, parseToken, sameHash } from "../../src/crypto/tokens.ts";
import { createDoorkeeper, type Visitor } from "../../src/server/authenticate.ts";
import { originGuard } from "../../src/server/origin.ts";
import { queryReader } from "../../src/server/query.ts";
import { createTicketOffice } from "../../src/server/tickets.ts";
import { chance } from "../crypto/keys.ts";
import { clockAt, testConfig } from "../support/fixtures.ts";
import { cases, foreignText, givesOrRefuses, takesTimeInProportion } from "./foreign.ts";

const caller: Caller = { actor: "ada", scopes: ["agent"] };
const tokens = (["agent", "observe", "operate", "admin"] as const).map((kind) => makeToken(kind, chance));
const texts = tokens.map((it) => it.text);
const secrets = tokens.map((it) => it.text.split("_")[3] ?? "");

const known = new Map(tokens.map((it) => [it.key_id, hashToken(it.text)]));
const doorkeeper = createDoorkeeper(
  (text) => {
    const hash = known.get(parseToken(text)?.key_id ?? "");
    return hash && sameHash(hash, hashToken(text)) ? caller : undefined;
  },
  createLockout({ config: { failed_logins_per_minute: 20 }, clock: clockAt(), onLockedOut: () => undefined }),
);

function visitor(authorization: string): Visitor {
  // Only what a doorkeeper looks at.
  return { headers: { authorization }, socket: { remoteAddress: "192.0.2.1" } } as unknown as Visitor;
}

describe("a token from outside", () => {
  it("is one of those that were made, letter for letter, or none", () => {
    fc.assert(
      fc.property(foreignText(texts), (text) => {
        const token = parseToken(text);
        // A checksum of 32 bits is no seal: what passes it has the form at least, and is looked up by its hash.
        if (token) assert.match(token.text, /^hvp_(agent|observe|operate|admin)_\w{11}_\w{43}_\w{6}$/);
        if (token) assert.equal(token.text, text);
      }),
      cases(2_000),
    );
  });

  it("in a header lets in whoever has one that was made, and tells nobody else anything", async () => {
    const headers = texts.map((it) => `Bearer ${it}`);
    await fc.assert(
      fc.asyncProperty(foreignText(headers), async (header) => {
        const codes = ["unauthenticated", "rate_limited"] as const;
        const let_in = await givesOrRefuses(() => doorkeeper.requireCaller(visitor(header)), codes, secrets);
        assert.equal(let_in !== undefined, texts.includes(/^bearer +(.*?) *$/is.exec(header)?.[1] ?? ""), header);
      }),
      cases(1_500),
    );
  });

  for (const [what, unit] of [
    ["digits", "0"],
    ["spaces", " "],
    ["beginnings", "hvp_agent_"],
    ["schemes", "Bearer "],
  ] as const) {
    it(`of endless ${what} takes no longer than it is long`, async () => {
      const make = (length: number) => unit.repeat(length / unit.length);
      await takesTimeInProportion(make, (it: string) => parseToken(it));
      await takesTimeInProportion(make, (it: string) => parseToken(`hvp_agent_${it}`));
      await takesTimeInProportion(make, (it: string) => doorkeeper.requireCaller(visitor(`Bearer ${it}!`)));
    });
  }
});

describe("a ticket from outside", () => {
  it("is one that was issued and not used yet, or none", () => {
    const tickets = createTicketOffice(clockAt());
    const issued = new Set(Array.from({ length: 20 }, () => tickets.issue(caller).ticket));
    fc.assert(
      fc.property(foreignText([...issued]), (ticket) => {
        assert.equal(tickets.redeem(ticket) === caller, issued.delete(ticket));
      }),
      cases(1_500),
    );
  });
});

describe("a cursor from outside", () => {
  const clock = clockAt();
  const cursors = createCursors(clock, 60_000);
  const question = { q: "red build" };
  const made = [cursors.encode(question, [1, "x"]), cursors.encode({ q: "other" }, 9), eventCursor(42)];

  it("gives a place or is refused", async () => {
    await fc.assert(
      fc.asyncProperty(foreignText(made), async (text) => {
        const codes = ["invalid_cursor", "cursor_expired"] as const;
        await givesOrRefuses(() => cursors.decode(question, text as Cursor), codes);
        const position = await givesOrRefuses(() => eventPosition(text as Cursor), codes);
        if (position !== undefined) assert.ok(Number.isSafeInteger(position) && position >= 0);
      }),
      cases(2_000),
    );
  });

  it("takes no longer than it is long", async () => {
    for (const unit of ["[", "A", "W1tb"]) {
      await takesTimeInProportion(
        (length) => unit.repeat(length / unit.length),
        (it: Cursor) => cursors.decode(question, it),
      );
    }
  });
});

describe("headers and queries from outside", () => {
  const guard = originGuard({ config: testConfig({ allowed_origins: "https://app.example.com" }) });
  const hosts = ["localhost:4483", "127.0.0.1", "[::1]:80", "evil.example.com"];
  const origins = ["https://app.example.com", "http://localhost:4483", "null", "https://evil.example.com"];

  it("pass the guard only with a host of ours and no foreign origin", async () => {
    await fc.assert(
      fc.asyncProperty(foreignText(hosts), fc.option(foreignText(origins)), async (host, origin) => {
        const headers: IncomingHttpHeaders = { host, ...(origin !== null && { origin }) };
        const passed = await givesOrRefuses(async () => ({ foreign: guard(headers) }), ["forbidden"]);
        if (passed === undefined) return;
        assert.match(host, /^(localhost|127\.0\.0\.1|\[::1\]|[\w.-]+\.localhost)(:\d{0,5})?$/i);
        assert.ok(passed.foreign === undefined || passed.foreign === "https://app.example.com");
      }),
      cases(2_000),
    );
  });

  it("as a query are fields of the operation or refused", async () => {
    const read = queryReader("searchMessages");
    const queries = ["q=red+build&limit=5&metadata.ticket=42", "participant=ada&q=%F0%9F%98%80", "limit=-1.5&&="];
    await fc.assert(
      fc.asyncProperty(foreignText(queries), async (query) => {
        const input = await givesOrRefuses(() => read(query), ["invalid_input"]);
        if (input) assert.equal(Object.getPrototypeOf(input), Object.prototype);
      }),
      cases(2_000),
    );
  });

  it("take no longer than they are long", async () => {
    const read = queryReader("searchMessages");
    for (const unit of ["a.", "a-", "::", "[", "localhost:", "0"]) {
      const make = (length: number) => unit.repeat(length / unit.length);
      await takesTimeInProportion(make, (host: string) => guard({ host }));
      await takesTimeInProportion(make, (origin: string) => guard({ host: "localhost", origin }));
    }
    for (const unit of ["%20", "limit=1", "metadata.", "metadata.a=", "="]) {
      await takesTimeInProportion(
        (length) => unit.repeat(length / unit.length),
        (query: string) => read(query),
      );
    }
  });

  it("that fail say so in errors of the contract", () => {
    assert.throws(() => guard({ host: "evil" }), BusError);
  });
});
