import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toTimestamp } from "../../../src/base/time.ts";
import { hasRoomForToken, isLiveToken, laterUse } from "../../../src/core/access/tokens.ts";
import { ada, bob, monday_ms } from "../../support/fixtures.ts";

const past = toTimestamp(monday_ms);
const future = toTimestamp(monday_ms + 1);

describe("a token", () => {
  it("counts until it is revoked or its time has come", () => {
    assert.equal(isLiveToken({}, monday_ms), true);
    assert.equal(isLiveToken({ expires_at: future }, monday_ms), true);
    assert.equal(isLiveToken({ expires_at: past }, monday_ms), false);
    assert.equal(isLiveToken({ revoked_at: past }, monday_ms), false);
    assert.equal(isLiveToken({ revoked_at: past, expires_at: future }, monday_ms), false);
  });

  it("finds room beside those of its agent that still count, and always where it is no agent's", () => {
    const known = [
      { agent_id: ada },
      { agent_id: ada, revoked_at: past },
      { agent_id: ada, expires_at: past },
      { agent_id: bob },
      {},
      {},
    ];
    const room = (agent_id: typeof ada | undefined, most_live: number) =>
      hasRoomForToken(known, agent_id, { most_live, now_ms: monday_ms });
    assert.deepEqual([room(ada, 2), room(ada, 1), room(bob, 1), room(undefined, 0)], [true, false, false, true]);
  });

  it("was last used at the later of two times", () => {
    assert.deepEqual(
      [laterUse(undefined, undefined), laterUse(past, undefined), laterUse(undefined, past), laterUse(future, past)],
      [undefined, past, past, future],
    );
    assert.equal(laterUse(past, future), future);
  });
});
