import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLockout } from "../../src/app/lockout.ts";
import { BusError } from "../../src/contract/errors.ts";
import { clockAt } from "../support/fixtures.ts";

const failure = new BusError("unauthenticated", "this token is not valid here");

function openLockout(failed_logins_per_minute = 20) {
  const clock = clockAt();
  let locked_out = 0;
  const lockout = createLockout({
    config: { failed_logins_per_minute },
    clock,
    onLockedOut: () => {
      locked_out += 1;
    },
  });
  const codes = (address: string | undefined, count: number) =>
    Array.from({ length: count }, () => lockout.judge(failure, address).code);
  return { lockout, clock, codes, lockedOut: () => locked_out };
}

describe("the lockout", () => {
  it("answers 20 failures as what they are, and then says when to come back", () => {
    const { lockout, clock, codes, lockedOut } = openLockout();
    assert.deepEqual(new Set(codes("192.0.2.7", 20)), new Set(["unauthenticated"]));
    const { code, retry_after_ms } = lockout.judge(failure, "192.0.2.7");
    assert.deepEqual([code, retry_after_ms, lockedOut()], ["rate_limited", 3_000, 1]);
    clock.advance(3_000);
    assert.deepEqual(codes("192.0.2.7", 2), ["unauthenticated", "rate_limited"]);
  });

  it("takes a network of 64 bits for one address, and tells others apart", () => {
    const { codes } = openLockout(1);
    assert.deepEqual(codes("2001:db8::1", 1), ["unauthenticated"]);
    assert.deepEqual(codes("2001:db8::ffff:2", 1), ["rate_limited"]);
    assert.deepEqual(codes("2001:db8:0:1::1", 1), ["unauthenticated"]);
    assert.deepEqual(codes("::ffff:192.0.2.7", 1), ["unauthenticated"]);
    assert.deepEqual(codes("192.0.2.7", 1), ["rate_limited"]);
  });

  it("counts those whose connection is gone as one address", () => {
    const { codes } = openLockout(1);
    assert.deepEqual(codes(undefined, 2), ["unauthenticated", "rate_limited"]);
  });

  it("holds who guesses steadily while 20,000 other addresses come by", () => {
    const { codes } = openLockout(1);
    codes("192.0.2.7", 1);
    for (let i = 0; i < 20_000; i++) codes(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 1);
    assert.deepEqual(codes("192.0.2.7", 1), ["rate_limited"]);
  });
});
