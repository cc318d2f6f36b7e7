import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { operations } from "../../src/contract/operations.ts";
import { operationNames } from "../../src/contract/routes.ts";
import { checkInput } from "../../src/server/check-input.ts";
import { describeSchema } from "../../src/server/schema-words.ts";

describe("what a text must look like", () => {
  it("is said in words for everything that the operations take", () => {
    const unsaid = operationNames.flatMap((name) =>
      patternsIn(operations[name].input)
        .map(describeSchema)
        .filter((words) => words.includes("of the form"))
        .map((words) => `${name}: ${words}`),
    );
    assert.deepEqual(unsaid, []);
  });

  it("is shown as it stands where there are no words for it", () => {
    assert.equal(describeSchema({ type: "string", pattern: "^x+$" }), "text of the form ^x+$");
    assert.equal(
      describeSchema({ type: "string", pattern: "^x+$", maxLength: 9 }),
      "text of at most 9 characters of the form ^x+$",
    );
  });

  it("is told to whoever mistakes the name of a token", () => {
    assert.throws(() => checkInput("revokeToken", { key_id: "xyz" }), {
      code: "invalid_input",
      message: 'revokeToken: /key_id: expected a key id of 11 letters and digits, as GET /tokens lists them, got "xyz"',
    });
  });
});

/** Every schema in there that has a pattern. */
function patternsIn(schema: unknown): object[] {
  if (typeof schema !== "object" || schema === null) return [];
  const own = "pattern" in schema && typeof schema.pattern === "string" ? [schema] : [];
  return [...own, ...Object.values(schema).flatMap(patternsIn)];
}
