import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { assignAgents } from "../../src/cli/replay/names.ts";
import { type BadRow, isBad, type Row, readRows } from "../../src/cli/replay/rows.ts";
import { surveyLog } from "../../src/cli/replay/survey.ts";
import { temporaryFolder } from "../support/fixtures.ts";

/** What is read from a file with this content. */
async function rowsOf(content: string | Uint8Array) {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, "log.jsonl");
  await writeFile(file, content);
  const rows: (Row | BadRow)[] = [];
  for await (const row of readRows(file)) rows.push(row);
  return rows;
}

function lines(...rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

const full: Row = {
  line: 1,
  from: "ada",
  to: "bob",
  conversation: "login",
  at_ms: Date.parse("2026-11-16T09:00:00Z"),
  recorded_at: "2026-11-16T09:00:00Z",
  text: "hello",
  priority: "high",
  message_type: "question",
};

describe("a recorded log", () => {
  it("is read whatever its fields are called", async () => {
    const at = "2026-11-16T09:00:00Z";
    const kind = { priority: "high", message_type: "question" };
    for (const row of [
      { from: "ada", to: "bob", conversation: "login", at, text: "hello", ...kind },
      { author: "ada", target: "bob", conversation_id: "login", time: at, content: "hello", ...kind },
      {
        from_agent: "ada",
        to_agent: "bob",
        thread: "login",
        timestamp: at,
        message: "hello",
        priority: "high",
        type: "question",
      },
    ]) {
      assert.deepEqual(await rowsOf(lines(row)), [full]);
    }
  });

  it("names a conversation by project and issue, or by its two sides", async () => {
    const rows = await rowsOf(
      lines(
        { from: "a", to: "b", text: "1", project: "p", issue: 7 },
        { from: "b", to: "a", text: "2" },
        { from: "a", to: "b", text: "3" },
      ),
    );
    assert.deepEqual(
      rows.map((row) => (isBad(row) ? row : row.conversation)),
      ["p#7", "between a and b", "between a and b"],
    );
  });

  it("understands the ways people write times", async () => {
    const times = [
      "2015-05-18 05:22:20",
      "2015-05-18T05:22:20Z",
      "2015-05-18T07:22:20+02:00",
      1431926540,
      "1431926540000",
      "soon",
    ];
    const rows = await rowsOf(lines(...times.map((at) => ({ from: "a", to: "b", text: "x", at }))));
    const expected = Date.UTC(2015, 4, 18, 5, 22, 20);
    assert.deepEqual(
      rows.map((row) => !isBad(row) && row.at_ms),
      [expected, expected, expected, expected, expected, undefined],
    );
  });

  it("is split at line feeds alone, and read alike when compressed", async () => {
    const content = lines(
      { from: "a", to: "b", text: "one\u2028still one\u2029\u0085" },
      { from: "a", to: "b", text: "two\n" },
    );
    const texts = (rows: Awaited<ReturnType<typeof rowsOf>>) => rows.map((row) => !isBad(row) && row.text);
    assert.deepEqual(texts(await rowsOf(content)), ["one\u2028still one\u2029\u0085", "two\n"]);
    assert.deepEqual(texts(await rowsOf(gzipSync(content))), ["one\u2028still one\u2029\u0085", "two\n"]);
    assert.deepEqual(texts(await rowsOf(content.trimEnd())), ["one\u2028still one\u2029\u0085", "two\n"]);
  });

  it("names each bad line and goes on", async () => {
    const good = { from: "a", to: "b", text: "x" };
    const bad = [
      "no json",
      "[]",
      '{"from": 1}',
      '{"from": "a", "text": "x"}',
      '{"from": "a", "to": "b"}',
      '{"from":"a","to":"b","text":"\\ud800"}',
    ];
    const rows = await rowsOf(`${bad.join("\n")}\n\n  \r\n${lines(good)}`);
    assert.deepEqual(
      rows.map((row) => (isBad(row) ? `${row.line}: ${row.problem}` : `${row.line}: ${row.text}`)),
      [
        "1: no JSON",
        "2: no JSON object",
        "3: no to, to_agent, target, recipient",
        "4: no to, to_agent, target, recipient",
        "5: no text, content, message, body",
        "6: text with half a surrogate pair, which is no character",
        "9: x",
      ],
    );
    const [invalid] = await rowsOf(Uint8Array.from([0x22, 0xff, 0x22, 0x0a]));
    assert.deepEqual(invalid, { line: 1, problem: "no UTF-8" });
    const [long, next] = await rowsOf(`${"x".repeat(9 * 1_024 * 1_024)}\n${lines(good)}`);
    assert.deepEqual(long, { line: 1, problem: "longer than 8388608 bytes" });
    assert.equal(next && !isBad(next) && next.text, "x");
    const [wordy] = await rowsOf(lines({ ...good, text: "x".repeat(1_000_001) }));
    assert.deepEqual(wordy, { line: 1, problem: "text of 1000001 characters; 1000000 fit" });
  });

  it("gives back every text, however the file is cut into pieces", async () => {
    const texts = fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(texts, async (given) => {
        const rows = await rowsOf(lines(...given.map((text) => ({ from: "a", to: "b", text }))));
        assert.deepEqual(
          rows.map((row) => !isBad(row) && row.text),
          given,
        );
      }),
      { numRuns: 20 },
    );
  });
});

describe("the survey of a log", () => {
  it("counts what is there", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "log.jsonl");
    const rows = [0, 1, 2].map((i) => ({ from: `a${i}`, to: "b", text: "x", conversation: i % 2 }));
    await writeFile(file, `${lines(...rows)}${"nonsense\n".repeat(25)}`);
    const options = { prefix: "", agents: undefined, limit: Number.POSITIVE_INFINITY, strict: false };
    const survey = await surveyLog(file, options, () => undefined);
    const { rows: count, bad_rows, bad, names, conversations } = survey;
    assert.deepEqual([count, bad_rows, bad.length, names.agents.size, conversations.size], [3, 25, 20, 4, 2]);
    const limited = await surveyLog(file, { ...options, limit: 2 }, () => undefined);
    assert.deepEqual([limited.rows, limited.bad_rows], [2, 0]);
    await assert.rejects(
      surveyLog(file, { ...options, strict: true }, () => undefined),
      /line 4: no JSON; mend it/,
    );
  });
});

describe("the agents of a replay", () => {
  const idPattern = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/;

  it("are called as recorded where that can be", () => {
    const { agentOf } = assignAgents({ prefix: "" });
    assert.deepEqual(["ada", "Ada.L+1", "@ada", "J\u00f6rg M\u00fcller", "三", "---", "a b", "a-b"].map(agentOf), [
      "ada",
      "Ada.L+1",
      "ada-2",
      "Jorg-Muller",
      "agent",
      "agent-2",
      "a-b",
      "a-b-2",
    ]);
    assert.equal(assignAgents({ prefix: "replay-" }).agentOf("@ada"), "replay--ada");
  });

  it("are as many as there are names, each with a valid id", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), fc.constantFrom("", "replay-"), (names, prefix) => {
        const agents = assignAgents({ prefix });
        const ids = names.map(agents.agentOf);
        assert.equal(new Set(ids).size, new Set(names).size);
        for (const id of ids) assert.match(id, idPattern);
        assert.deepEqual(names.map(agents.agentOf), ids);
        assert.equal(agents.names, new Set(names).size);
      }),
    );
  });

  it("are shared in turn where fewer are wanted", () => {
    const { agentOf, agents } = assignAgents({ prefix: "", agents: 12 });
    assert.deepEqual(["a", "b", "a", "c"].map(agentOf), ["replay-01", "replay-02", "replay-01", "replay-03"]);
    for (let i = 0; i < 100; i++) agentOf(`name ${i}`);
    assert.equal(agents.size, 12);
  });
});
