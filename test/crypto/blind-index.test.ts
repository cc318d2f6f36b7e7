import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { createBlindIndex } from "../../src/crypto/blind-index.ts";
import { keyOf } from "./keys.ts";

const indexKey = keyOf(7);

/** The definition, digit by digit. */
function definedTerm(kind: string, value: string): string {
  const hash = createHmac("sha256", indexKey).update(`${kind.length}|${kind}|${value}`).digest("hex");
  const number = BigInt(`0x${hash.slice(0, 10)}`);
  return number.toString(32).padStart(8, "0");
}

describe("a blind index", () => {
  it("spells the first 40 bits of the hash in base 32, whether it remembers a term or not", () => {
    const index = createBlindIndex(indexKey);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary", maxLength: 200 }), (kind, value) => {
        const [first, again] = [index.term(kind, value), index.term(kind, value)];
        assert.deepEqual([first, again], [definedTerm(kind, value), first]);
        assert.match(first, /^[0-9a-v]{8}$/);
      }),
    );
  });

  it("keeps kinds apart, also where one text could be cut in two ways", () => {
    const { term } = createBlindIndex(indexKey);
    const terms = [
      term("word", "a"),
      term("path", "a"),
      term("", "worda"),
      term("worda", ""),
      term("1|a", "b"),
      term("1", "a|b"),
    ];
    assert.equal(new Set(terms).size, terms.length);
  });

  it("gives other terms under another key", () => {
    assert.notEqual(createBlindIndex(keyOf(8)).term("word", "login"), createBlindIndex(indexKey).term("word", "login"));
  });

  it("gives the same terms however many it has had to forget", () => {
    const { term } = createBlindIndex(indexKey);
    const words = Array.from({ length: 80_000 }, (_, i) => `word${i}`);
    const first = words.map((it) => term("word", it));
    assert.equal(new Set(first).size, words.length);
    for (const i of [0, 1, 14_463, 32_767, 32_768, 47_232, 65_535, 65_536, 79_999]) {
      assert.equal(term("word", words[i] ?? ""), first[i]);
    }
  });

  it("remembers a limited number of terms, none of them long, and no message a word was cut from", () => {
    const index = createBlindIndex(indexKey);
    const grown_bytes = heapGrowth(() => {
      for (let i = 0; i < 400; i++) {
        const message = `${"x".repeat(100_000)} a-rather-long-word-${i} ${"y".repeat(100_000)}`;
        index.term("word", message.slice(100_001, 100_020));
        index.term("word", message);
      }
      for (let i = 0; i < 150_000; i++) index.term(`kind${i % 10}`, `value${i}`);
    });
    assert.ok(grown_bytes < 20 * 2 ** 20, `${grown_bytes} bytes more`);
    assert.equal(index.term("word", "kept"), definedTerm("word", "kept"));
  });

  it("makes terms that FTS5's ascii tokenizer keeps whole", () => {
    const { term } = createBlindIndex(indexKey);
    using database = new DatabaseSync(":memory:");
    database.exec("CREATE VIRTUAL TABLE terms USING fts5(text, tokenize = 'ascii')");
    database.exec("CREATE VIRTUAL TABLE seen USING fts5vocab(terms, row)");
    const words = Array.from({ length: 500 }, (_, i) => term("word", `w${i}`));
    database.prepare("INSERT INTO terms VALUES (?)").run(words.join(" "));
    const seen = database.prepare("SELECT term FROM seen ORDER BY term").all();
    assert.deepEqual(
      seen.map((it) => it["term"]),
      words.toSorted(),
    );
  });

  it("shows neither key nor words in logs and JSON", () => {
    const index = createBlindIndex(indexKey);
    index.term("word", "dawn");
    assert.doesNotMatch(inspect(index, { depth: 9, showHidden: true }) + JSON.stringify(index), /dawn|0707|BwcH|7, ?7/);
  });
});

/** Bytes by which the heap is larger after the work than before, once garbage is gone. */
function heapGrowth(work: () => void): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  work();
  collect();
  return process.memoryUsage().heapUsed - before;
}
