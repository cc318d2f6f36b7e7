import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { WebSocket } from "ws";
import { parseJsonBytes, requireWellFormed } from "../../src/server/parse-json.ts";
import { readFrame } from "../../src/server/request-frame.ts";
import { checkStreamInput } from "../../src/server/stream-input.ts";
import { startHive, type TestHive, token } from "../server/test-hive.ts";
import { openStream } from "../server/test-stream.ts";
import { cases, foreignBytes, foreignJson, givesOrRefuses, takesTimeInProportion } from "./foreign.ts";

const frames = [
  {
    id: 1,
    op: "sendMessage",
    input: { from_agent: "ada", to_agent: "bob", content: "ü😀\ud83d", metadata: { a: [1] } },
  },
  { id: 2, op: "claimMessages", input: { agent_id: "bob", limit: 1 } },
  { id: 3, op: "subscribe", input: { agent_id: "bob", credit: 5 } },
  { id: 4, op: "follow", input: {} },
  { id: 5, op: "health" },
];
const bytes = foreignBytes(frames.map((it) => Buffer.from(JSON.stringify(it))));

describe("a frame from outside", () => {
  it("is a request, or is refused with the reason and the number that it had", () => {
    fc.assert(
      fc.property(bytes, (text) => {
        const frame = readFrame(text);
        if ("refused" in frame) assert.ok(frame.refused.length > 0 && frame.refused.length < 500, frame.refused);
        else assert.ok(typeof frame.op === "string" && frame.id >= 0);
      }),
      cases(2_000),
    );
  });

  it("with an input that is none is refused by name", async () => {
    const inputs = foreignJson(frames.map((it) => it.input ?? {}));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("subscribe", "unsubscribe", "credit", "follow"), inputs, async (name, input) => {
        await givesOrRefuses(() => checkStreamInput(name, input), ["invalid_input"]);
        const text = Buffer.from(JSON.stringify(input) ?? "");
        await givesOrRefuses(() => requireWellFormed(parseJsonBytes(text), text), ["invalid_input"]);
      }),
      cases(1_500),
    );
  });

  it("takes no longer than it is long", async () => {
    for (const unit of ["[", '{"a":', '"', "\\", '{"id":', " ", "1", "[1,", '"\\ud800",', "\xff"]) {
      const make = (length: number) => Buffer.from(unit.repeat(length / unit.length), "latin1");
      await takesTimeInProportion(make, (it: Buffer) => readFrame(it));
      await takesTimeInProportion(make, (it: Buffer) =>
        readFrame(Buffer.concat([Buffer.from('{"id":1,"op":"x","input":['), it])),
      );
      await takesTimeInProportion(make, (it: Buffer) => requireWellFormed(parseJsonBytes(it), it));
    }
  });
});

describe("a socket from outside", () => {
  let hive: TestHive;
  before(async () => {
    hive = await startHive();
  });
  after(() => hive[Symbol.asyncDispose]());

  it("is answered frame by frame or closed with a reason, and the others are served", async () => {
    await using other = await openStream(hive.url);
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(bytes, fc.boolean()), { minLength: 1, maxLength: 6 }), async (messages) => {
        const { answers, code } = await say(hive, messages);
        for (const it of answers) assert.equal(typeof JSON.parse(it), "object");
        assert.ok(code === 1_000 || code === 1_003 || code === 1_007 || code === 1_008 || code === 1_009, String(code));
        assert.ok(answers.every((it) => !it.includes(token)));
        assert.equal((await other.ask("health")).ok, true);
      }),
      cases(150),
    );
    process.off("unhandledRejection", note);
    assert.deepEqual(unhandled, []);
  });
});

/** Sends messages as text or binary, then closes; what came back until then. */
async function say(hive: TestHive, messages: readonly (readonly [Buffer, boolean])[]) {
  const ws = new WebSocket(`${hive.url.replace("http", "ws")}/stream`, ["hivepost.v1"], {
    headers: { authorization: `Bearer ${token}` },
  });
  const answers: string[] = [];
  return new Promise<{ answers: string[]; code: number }>((resolve, reject) => {
    ws.on("message", (it: Buffer) => answers.push(it.toString()));
    ws.on("error", reject);
    ws.on("close", (code) => resolve({ answers, code }));
    ws.on("open", () => {
      for (const [message, binary] of messages) if (ws.readyState === ws.OPEN) ws.send(message, { binary });
      ws.close(1_000);
    });
  });
}
