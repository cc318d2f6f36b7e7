import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { jsonLine, visible, visibleExactly, visibleLine } from "../../../src/core/rendering/visible.ts";
import { hostileText, readBack } from "./hostile.ts";

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
    fc.assert(fc.property(nasty, (text) => assert.doesNotMatch(visibleExactly(text), dangerous)));
    fc.assert(fc.property(hostileText, (text) => assert.doesNotMatch(visibleExactly(text), dangerous)));
  });

  it("shows what was there", () => {
    assert.equal(visible("\u001b]0;owned\u0007\u009b2J\u202eabc\u007f"), "␛]0;owned␇\\u{9b}2J\\u{202e}abc␡");
  });

  it("shows what nobody would see: tags, fillers, soft hyphens, ideographic variants", () => {
    assert.equal(
      visible("a\u{e0041}b\u3164c\u00add\u{e0100}\ufff9"),
      "a\\u{e0041}b\\u{3164}c\\u{ad}d\\u{e0100}\\u{fff9}",
    );
  });

  it("can be had back to the character where it is shown exactly", () => {
    fc.assert(fc.property(nasty, (text) => assert.equal(readBack(visibleExactly(text)), text)));
    fc.assert(fc.property(hostileText, (text) => assert.equal(readBack(visibleExactly(text)), text)));
    assert.equal(visibleExactly("a\r\nb"), "a␍\nb");
    assert.equal(visibleExactly("␛ \\u{9b} C:\\users"), "\\u{241b} \\u{5c}u{9b} C:\\users");
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
