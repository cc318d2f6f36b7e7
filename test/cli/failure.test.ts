import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { UsageError } from "../../src/cli/arguments.ts";
import { describeFailure, NotReachable } from "../../src/cli/failure.ts";
import { BusError } from "../../src/contract/errors.ts";

/** An error as the system raises it. */
function systemError(code: string, fields: object = {}): Error {
  return Object.assign(new Error(`${code}: it failed`), { code, ...fields });
}

describe("a failure", () => {
  it("has the exit code of its kind", () => {
    const errors = [
      new UsageError("wrong"),
      new NotReachable("away"),
      new BusError("unreachable", "gone"),
      new BusError("inbox_full", "full"),
      new Error("other"),
    ];
    assert.deepEqual(
      errors.map((error) => describeFailure(error).code),
      [2, 3, 3, 1, 1],
    );
  });

  it("names the thing and the way out", () => {
    for (const [error, message] of [
      [systemError("EADDRINUSE", { address: "127.0.0.1", port: 4483 }), /^127\.0\.0\.1:4483 is in use .* --port/],
      [systemError("EADDRNOTAVAIL", { address: "10.9.9.9" }), /^10\.9\.9\.9 is no address of this machine; .* --host/],
      [systemError("EACCES", { path: "/x" }), /^no permission for \/x; /],
      [systemError("EPERM"), /^not permitted: EPERM: it failed; /],
      [systemError("EROFS", { path: "/x" }), /^\/x is on a read-only file system/],
      [systemError("ENOENT", { path: "/x" }), /^\/x does not exist$/],
      [systemError("EISDIR"), /is a folder, where a file is wanted$/],
      [systemError("ENOTDIR", { path: "/x/y" }), /^\/x\/y: a part of this path is a file/],
      [systemError("EEXIST", { path: "/x" }), /^\/x exists already$/],
      [systemError("ENOSPC"), /^no space is left on the disk/],
      [systemError("ENOTFOUND"), /^there is no machine of that name/],
      [systemError("EUNHEARDOF"), /^EUNHEARDOF: it failed$/],
      [new BusError("inbox_full", "bob has 10"), /^inbox_full: bob has 10$/],
      ["a string", /^something went wrong: a string$/],
    ] as const) {
      assert.match(describeFailure(error).message, message);
    }
  });

  it("of the real system is understood", async () => {
    const error = await readFile("/nowhere/at/all").catch((it: unknown) => it);
    assert.deepEqual(describeFailure(error), { message: "/nowhere/at/all does not exist", code: 1 });
  });

  it("cannot act on the terminal", () => {
    assert.equal(describeFailure(new Error("\u001b[2J")).message, "␛[2J");
  });
});
