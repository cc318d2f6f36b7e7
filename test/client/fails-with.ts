import assert from "node:assert/strict";
import { BusError, type ErrorCode } from "../../src/contract/errors.ts";

/** For `assert.rejects`: a BusError of this code whose message says these words. */
export function failsWith(code: ErrorCode, words: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof BusError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}
