import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { counted, jsonLine, shortened, table, visible, visibleLine, widthOf } from "../../src/cli/print.ts";

/** Whatever could move the cursor, change the terminal, or make text read as something else. */
const dangerous =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come through
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]|\p{Surrogate}/u;

const nasty = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom("\u001b", "[", "]", "0", ";", "m", "\u0007", "\r", "\n", "\u009b", "\u202e", "\ud800", "a"),
  }),
);

describe("text from a message on a terminal", () => {
  it("cannot act on the terminal, whatever it is", () => {
    fc.assert(fc.property(nasty, (text) => assert.doesNotMatch(visible(text), dangerous)));
    fc.assert(fc.property(nasty, (text) => assert.doesNotMatch(visibleLine(text), /[\n\t]/)));
  });

  it("shows what was there", () => {
    assert.equal(visible("\u001b]0;owned\u0007\u009b2J\u202eabc\u007f"), "␛]0;owned␇\\u{9b}2J\\u{202e}abc␡");
  });

  it("keeps lines, tabs, and every script", () => {
    const text = "línea\t1\nстрока 2\n三\n👩‍🚀 👍🏽";
    assert.equal(visible(text), text);
    assert.equal(visible("a\r\nb"), "a\nb");
    assert.equal(visibleLine("a\nb"), "a␊b");
  });
});

describe("JSON on a terminal", () => {
  it("is the same value, and cannot act on the terminal", () => {
    fc.assert(
      fc.property(fc.jsonValue(), nasty, (value, text) => {
        const line = jsonLine({ value, text });
        assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify({ value, text })));
        assert.doesNotMatch(line, dangerous);
        assert.doesNotMatch(line, /\n/);
      }),
    );
  });

  it("says null where there is nothing", () => {
    assert.equal(jsonLine(undefined), "null");
  });
});

describe("a table", () => {
  it("lines its columns up, also where characters are wide", () => {
    const titles = [{ title: "name" }, { title: "n", align: "right" as const }];
    assert.equal(
      table(
        titles,
        [
          ["ada", "1"],
          ["三三", "22"],
        ],
        80,
      ),
      "name   n\nada    1\n三三  22\n",
    );
  });

  it("is never wider than asked", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.string(), { maxLength: 3 })),
        fc.integer({ min: 1, max: 60 }),
        (rows, columns) => {
          const text = table([{ title: "a" }, { title: "b" }, { title: "c" }], rows, columns);
          for (const line of text.split("\n")) assert.ok(widthOf(line) <= columns, JSON.stringify(line));
        },
      ),
    );
  });

  it("cannot be broken by what is in it", () => {
    assert.equal(table([{ title: "a" }], [["x\ny"]], 80), "a\nx␊y\n");
  });
});

describe("a shortened text", () => {
  it("says that something was cut", () => {
    assert.deepEqual(
      [shortened("abcdef", 6), shortened("abcdef", 4), shortened("三三三", 4)],
      ["abcdef", "abc…", "三…"],
    );
  });
});

describe("a count", () => {
  it("has its noun in the right number", () => {
    assert.deepEqual(
      [counted(1, "reply", "replies"), counted(2, "reply", "replies"), counted(12_345, "message")],
      ["1 reply", "2 replies", "12,345 messages"],
    );
  });
});
