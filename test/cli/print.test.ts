import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { counted, shortened, table, widthOf } from "../../src/cli/print.ts";

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
