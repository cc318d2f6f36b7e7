import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BusError } from "../../src/contract/errors.ts";
import { givesOrRefuses, takesTimeInProportion } from "./foreign.ts";

describe("the checks on parsers", () => {
  const padded = (length: number) => `${"=".repeat(length)}!`;

  it("find one whose time grows with the square of its input", async () => {
    await assert.rejects(
      takesTimeInProportion(padded, (text: string) => text.replace(/=+$/, "")),
      /for 8 times as much/,
    );
    await takesTimeInProportion(padded, (text: string) => text.replace(/={1,2}$/, ""));
  });

  it("find an error that is not of the contract, not of the codes said, or shows a secret", async () => {
    const failing = (error: unknown) => () => {
      throw error;
    };
    const cause = new Error("the secret is 0000");
    await assert.rejects(givesOrRefuses(failing(new TypeError("oh")), ["invalid_input"]), { name: "AssertionError" });
    await assert.rejects(givesOrRefuses(failing(new BusError("forbidden", "no")), ["invalid_input"]));
    await assert.rejects(givesOrRefuses(failing(new BusError("forbidden", "no", { cause })), ["forbidden"], ["0000"]));
    assert.equal(await givesOrRefuses(failing(new BusError("forbidden", "no")), ["forbidden"], ["0000"]), undefined);
    assert.equal(await givesOrRefuses(() => 7, []), 7);
  });
});
