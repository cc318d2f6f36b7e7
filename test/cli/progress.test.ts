import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { showProgress } from "../../src/cli/progress.ts";
import { clockAt } from "../support/fixtures.ts";
import { fakeTerminal } from "./fake-terminal.ts";

/** What is shown of work that is `done` after each second. */
function shown(done: readonly number[], options: { isTTY: boolean; total: number | undefined }): string {
  const terminal = fakeTerminal({ isTTY: options.isTTY });
  const clock = clockAt();
  const progress = showProgress({
    screen: terminal.stderr,
    label: "sending",
    total: options.total,
    elapsed: clock.elapsed,
  });
  for (const count of done) {
    clock.advance(1_000);
    progress.update(count);
    // Nothing has changed that anybody could read so soon.
    progress.update(count);
  }
  progress.finish();
  return terminal.err();
}

describe("the progress of long work", () => {
  it("is a bar on a terminal, gone at the end", () => {
    assert.equal(
      shown([1, 4], { isTTY: true, total: 4 }),
      `\r${"█".repeat(7)}${"░".repeat(23)} sending 1 of 4 (25 %), 1 per second\u001b[K` +
        `\r${"█".repeat(30)} sending 4 of 4 (100 %), 2 per second\u001b[K\r\u001b[K`,
    );
  });

  it("is a line every few seconds elsewhere, and nothing for what is quickly done", () => {
    const lines = "sending 500 of 1,000 (50 %), 100 per second\nsending 1,000 of 1,000 (100 %), 100 per second\n";
    const done = [100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000];
    assert.equal(shown(done, { isTTY: false, total: 1_000 }), lines);
    assert.equal(shown([1, 2], { isTTY: false, total: 2 }), "");
  });

  it("counts where nobody knows how much there is, and does not divide by nothing", () => {
    assert.equal(shown([7], { isTTY: true, total: undefined }), "\rsending 7, 7 per second\u001b[K\r\u001b[K");
    assert.equal(shown([0], { isTTY: true, total: 0 }), "\rsending 0 of 0 (100 %), 0 per second\u001b[K\r\u001b[K");
  });
});
