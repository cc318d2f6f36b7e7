import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { refusal, startHive, type TestHive } from "./test-hive.ts";

describe("REST, given", () => {
  let hive: TestHive;
  before(async () => {
    hive = await startHive();
  });
  after(() => hive[Symbol.asyncDispose]());

  const send = (fields: object = {}) =>
    hive.call("POST", "/messages", { body: { to_agent: "bob", content: "hello", ...fields } });

  describe("an input that does not fit", () => {
    const cases: [what: string, body: unknown, told: RegExp][] = [
      [
        "an unknown field",
        { to_agent: "bob", content: "x", colour: 1 },
        /\/colour: unknown field; there are to_agent, to,/,
      ],
      ["a wrong type, which is not converted", { to_agent: "bob", content: 5 }, /\/content: expected text .*got 5/],
      [
        "a word that is none of the choices",
        { to_agent: "bob", content: "x", priority: "asap" },
        /\/priority: expected one of "urgent", .*got "asap"/,
      ],
      ["a missing field", { to_agent: "bob" }, /exactly one of `content` and `sealed`/],
      [
        "a branch of a union",
        { to: { group: 5 }, content: "x" },
        /\/to: expected an object with group or .*got an object/,
      ],
      [
        "a bad id",
        { to_agent: "no spaces", content: "x" },
        /\/to_agent: expected a name of 1 to 128 .*got "no spaces"/,
      ],
      [
        "a UUID that is no UUIDv7",
        { to_agent: "bob", content: "x", id: crypto.randomUUID() },
        /\/id: expected a UUIDv7/,
      ],
      ["a bad time", { to_agent: "bob", content: "x", deliver_at: "soon" }, /\/deliver_at: expected an RFC 3339 time/],
      ["an array", [1], /expected a JSON object/],
      ["null", "null", /the input: expected|expected a JSON object|`content`/],
      ["broken JSON", '{"to_agent":', /not JSON/],
      ["invalid UTF-8", new Uint8Array([0x22, 0xc3, 0x28, 0x22]), /not valid UTF-8/],
      ["half a surrogate pair", '{"to_agent":"bob","content":"\\ud83d"}', /surrogate/],
      [
        "a poisoned prototype",
        '{"to_agent":"bob","content":"x","__proto__":{"content":"y"}}',
        /__proto__: unknown field/,
      ],
      [
        "one inside metadata",
        '{"to_agent":"bob","content":"x","metadata":{"a":[{"__proto__":1}]}}',
        /__proto__ is not allowed/,
      ],
      [
        "a number beyond 64 bits of float",
        '{"to_agent":"bob","content":"x","metadata":{"a":1e999}}',
        /\/metadata\/a: expected a number/,
      ],
      [
        "metadata nested 17 deep",
        `{"to_agent":"bob","content":"x","metadata":${'{"a":'.repeat(17)}1${"}".repeat(17)}}`,
        /deeper than 16/,
      ],
      ["brackets by the thousand", "[".repeat(50_000), /nests deeper/],
      ["more mistakes than are worth telling", { a: 1, b: 2, c: 3, d: 4, e: 5 }, /; and \d more/],
    ];
    for (const [what, body, told] of cases) {
      it(`is refused by name: ${what}`, async () => {
        const { status, code, detail } = await refusal(hive.call("POST", "/messages", { body }));
        assert.deepEqual([status, code], [400, "invalid_input"]);
        assert.match(detail, told);
      });
    }

    it("is refused by name wherever metadata may stand", async () => {
      const metadata = '{"__proto__":{}}';
      const one = `{"from_agent":"ada","to_agent":"bob","content":"x","metadata":{}}`;
      const two = `{"from_agent":"ada","to_agent":"bob","content":"x","metadata":${metadata}}`;
      const agent = await refusal(hive.call("PUT", "/agents/ada", { body: `{"metadata":${metadata}}` }));
      assert.match(agent.detail, /^\/metadata: the field name __proto__/);
      const batch = await refusal(hive.call("POST", "/messages/batch", { body: `{"messages":[${one},${two}]}` }));
      assert.match(batch.detail, /^\/messages\/1\/metadata: the field name __proto__/);
      const timed = (it: string) => it.replace("{", '{"timestamp":"2026-01-05T09:00:00Z",');
      const body = `{"messages":[${timed(one)},${timed(two)}]}`;
      const history = await refusal(hive.call("POST", "/messages/import", { body }));
      assert.match(history.detail, /^\/messages\/1\/metadata: the field name __proto__/);
    });

    it("is told briefly, however large it is", async () => {
      const { detail } = await refusal(send({ priority: "x".repeat(10_000) }));
      assert.ok(detail.length < 400, detail);
    });

    it("leaves metadata alone that nests 16 deep and uses every kind of value", async () => {
      const metadata = JSON.parse(`${'{"a":'.repeat(14)}{"b":[null,true,1.5,"x"]}${"}".repeat(14)}`);
      assert.deepEqual((await send({ metadata })).body.metadata, metadata);
    });
  });

  describe("a query string", () => {
    const cases: [what: string, query: string, told: RegExp][] = [
      ["an unknown key", "colour=1", /unknown query parameter "colour"; there are participant, /],
      ["a key that comes twice", "limit=1&limit=1", /"limit" comes twice/],
      ["text for a number", "limit=many", /\/limit: expected a whole number from 1 to 500, got "many"/],
      ["a number out of range", "limit=501", /\/limit: expected a whole number from 1 to 500, got 501/],
      ["an empty value", "limit=", /\/limit/],
      ["a bad percent-encoding", "q=%E0%A4%A", /percent-encoding/],
      ["metadata without a path", "metadata.=1", /unknown query parameter/],
    ];
    for (const [what, query, told] of cases) {
      it(`is refused by name: ${what}`, async () => {
        const { status, code, detail } = await refusal(hive.call("GET", `/messages?${query}`));
        assert.deepEqual([status, code], [400, "invalid_input"]);
        assert.match(detail, told);
      });
    }

    it("is refused where the body holds the fields", async () => {
      const { detail } = await refusal(hive.call("POST", "/messages?to_agent=bob", { body: { content: "x" } }));
      assert.match(detail, /unknown query parameter "to_agent"/);
    });
  });
});
