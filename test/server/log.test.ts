import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openLog } from "../../src/server/log.ts";

function logged(level: string, isTTY: boolean): string {
  let text = "";
  const output = { isTTY, write: (line: string) => (text += line) };
  const log = openLog(level, output);
  log.debug({ port: 1 }, "too fine");
  log.info({ port: 4483, folder: "/a b" }, "listening");
  log.error({ error: new Error("no space") }, "cannot write");
  return text;
}

describe("the log", () => {
  it("is an object a line for programs, errors included", () => {
    const [first, second, ...rest] = logged("info", false)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual([first.level, first.port, first.folder, first.msg], [30, 4_483, "/a b", "listening"]);
    assert.match(first.time, /^\d{4}-\d\d-\d\dT.*Z$/);
    assert.deepEqual([second.error.message, second.msg, rest], ["no space", "cannot write", []]);
  });

  it("is a short line for a person at a terminal", () => {
    const [first, second] = logged("info", true).split("\n");
    assert.match(first ?? "", /^\d\d:\d\d:\d\d info {2}listening port=4483 folder="\/a b"$/);
    assert.match(second ?? "", /^\d\d:\d\d:\d\d error cannot write error=\{"type":"Error","message":"no space"/);
  });

  it("holds what its level admits", () => {
    assert.match(logged("debug", false), /too fine/);
    assert.equal(logged("silent", false), "");
  });
});
