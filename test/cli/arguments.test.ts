import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { countOf, type Flag, flagValue, parseArguments, UsageError } from "../../src/cli/arguments.ts";
import { nearest, suggestion } from "../../src/cli/nearest.ts";

const flags: readonly Flag[] = [
  { name: "from", takes: "value", help: "" },
  { name: "can", takes: "list", help: "" },
  { name: "json", takes: "switch", help: "" },
  { name: "help", takes: "switch", short: "h", help: "" },
  { name: "metadata.PATH", takes: "value", help: "", pattern: /^metadata\..+$/ },
];

function parse(...argv: string[]) {
  const { flags: found, words } = parseArguments(argv, flags);
  return { flags: Object.fromEntries(found), words: words.map((it) => it.text) };
}

describe("a command line", () => {
  it("is split into words and flags, in any order", () => {
    const expected = { flags: { from: ["ada"], json: [] }, words: ["bob", "hello"] };
    assert.deepEqual(parse("bob", "--from", "ada", "hello", "--json"), expected);
    assert.deepEqual(parse("--json", "--from=ada", "bob", "hello"), expected);
  });

  it("takes everything after a bare -- as words", () => {
    assert.deepEqual(parse("bob", "--", "--from", "-n", "--", ";"), {
      flags: {},
      words: ["bob", "--from", "-n", "--", ";"],
    });
    assert.deepEqual(parseArguments(["-", "--", "-"], flags).words, [
      { text: "-", literal: false },
      { text: "-", literal: true },
    ]);
  });

  it("takes any text as a value after =", () => {
    assert.deepEqual(parse("--from=-n").flags, { from: ["-n"] });
    assert.deepEqual(parse("--from=").flags, { from: [""] });
    assert.deepEqual(parse("--from=a=b").flags, { from: ["a=b"] });
  });

  it("keeps all values of a list, and the value of an open flag", () => {
    assert.deepEqual(parse("--can", "a", "--can", "b,c", "--metadata.ticket", "42").flags, {
      can: ["a", "b,c"],
      "metadata.ticket": ["42"],
    });
  });

  it("knows short flags", () => {
    assert.deepEqual(parse("-h").flags, { help: [] });
  });

  for (const [argv, message] of [
    [["--form", "x"], /no flag --form \(did you mean --from\?\)/],
    [["--constructor"], /no flag --constructor/],
    [["--__proto__=1"], /no flag --__proto__/],
    [["-x"], /no flag -x; text that begins with a dash goes after a bare --/],
    [["--from"], /--from wants a value/],
    [["--from", "--json"], /write --from=--json/],
    [["--from", "a", "--from", "b"], /--from is given twice/],
    [["--json=yes"], /--json takes no value/],
  ] as const) {
    it(`says what is wrong with ${argv.join(" ")}`, () => {
      assert.throws(
        () => parse(...argv),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    });
  }

  it("is parsed or refused, whatever it is", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom("--", "-", "--from", "--can=", "-hx", "--metadata.", "--=", "---"),
    );
    fc.assert(
      fc.property(fc.array(word), (argv) => {
        try {
          parseArguments(argv, flags);
        } catch (error) {
          assert.ok(error instanceof UsageError, String(error));
        }
      }),
    );
  });

  it("gives back every word that stands after a bare --", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        assert.deepEqual(parse("--", ...words).words, words);
      }),
    );
  });
});

describe("the value of a flag", () => {
  it("is the one that was given", () => {
    const given = parseArguments(["--from", "ada"], flags);
    assert.deepEqual([flagValue(given, "from"), flagValue(given, "can")], ["ada", undefined]);
  });

  it("counts, within bounds", () => {
    const count = (text: string) =>
      countOf(parseArguments([`--from=${text}`], flags), "from", { minimum: 1, maximum: 9 });
    assert.equal(count("7"), 7);
    assert.equal(countOf(parseArguments([], flags), "from", { minimum: 1, maximum: 9 }), undefined);
    for (const wrong of ["0", "10", "x", "", "1.5", "-1", "0x3"]) {
      assert.throws(() => count(wrong), /--from wants a whole number from 1 to 9, not/);
    }
  });
});

describe("a refusal", () => {
  it("shows no character that could move the cursor or command the terminal", () => {
    const limit: Flag = { name: "limit", takes: "value", help: "" };
    for (const argv of [["-\u007f"], ["--\u009b2J"], ["--limit", "-\u001b[2J\u009b2J\n"]]) {
      assert.throws(
        () => parseArguments(argv, [limit]),
        (error: Error) => error.name === "UsageError" && !/\p{Cc}/u.test(error.message),
      );
    }
  });
});

describe("the nearest word", () => {
  it("is the one that was meant", () => {
    const names = ["send", "search", "show", "serve", "claim"];
    assert.deepEqual(
      ["sned", "serach", "shwo", "serv", "clain", "SEND"].map((word) => nearest(word, names)),
      ["send", "search", "show", "serve", "claim", "send"],
    );
  });

  it("is none where nothing is near", () => {
    assert.equal(nearest("zebra", ["send", "claim"]), undefined);
    assert.equal(suggestion("zebra", ["send"]), "");
  });

  it("is the word itself, if it is among them", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1, maxLength: 20 }), { minLength: 1 }), (names) => {
        const [first = ""] = names;
        assert.equal(nearest(first, names)?.toLowerCase(), first.toLowerCase());
      }),
    );
  });
});
