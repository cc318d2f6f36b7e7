import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { metadataScalars, words } from "../../../src/core/messaging/words.ts";

describe("the words of a text", () => {
  it("are lower-case runs of letters, digits and underscores, each once", () => {
    assert.deepEqual(words("Fix parse_url() in src/Parser.ts, then fix TESTS!"), [
      "fix",
      "parse_url",
      "in",
      "src",
      "parser",
      "ts",
      "then",
      "tests",
    ]);
  });

  it("are the same for text that looks the same", () => {
    assert.deepEqual(words("ﬁle Ⅷ"), words("file viii"));
    assert.deepEqual(words("café"), words("cafe\u0301"));
  });

  it("are single characters in scripts written without spaces", () => {
    assert.deepEqual(words("部署ok完成"), ["部", "署", "ok", "完", "成"]);
  });

  it("are cut where they are too long to be searched for", () => {
    assert.deepEqual(words("a".repeat(100)), ["a".repeat(64)]);
    assert.deepEqual(words(`é${"🄰".normalize("NFKC").repeat(99)}`)[0]?.length, 64);
  });

  it("of a text include the words of each of its parts", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" })), (parts) => {
        const all = new Set(words(parts.join(" ")));
        for (const part of parts) for (const it of words(part)) assert.ok(all.has(it), `${it} of ${part}`);
      }),
    );
  });

  it("survive being split again: a word is its own only word", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        for (const word of words(text)) assert.deepEqual(words(word), [word]);
      }),
    );
  });
});

describe("the scalars of metadata", () => {
  it("stand at their path, elements of a list at the path of the list", () => {
    const metadata = { ticket: 42, ok: true, none: null, build: { tags: ["a", "b"], deep: { er: "x" } } };
    assert.deepEqual(metadataScalars(metadata), [
      ["ticket", "42"],
      ["ok", "true"],
      ["none", "null"],
      ["build.tags", "a"],
      ["build.tags", "b"],
      ["build.deep.er", "x"],
    ]);
  });

  it("are none in an empty object", () => {
    assert.deepEqual(metadataScalars({}), []);
  });
});
