import assert from "node:assert/strict";
import { copyFile, mkdtemp } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Outbox, openOutbox } from "../../src/client/outbox.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { createPostOffice } from "./post-office.ts";

type Step =
  | { readonly step: "send"; readonly from: string; readonly to: string }
  | { readonly step: "up" | "down" | "lose answers" | "keep answers" | "crash" | "wait" | "close" }
  | { readonly step: "fill" | "empty"; readonly to: string };

const agent = fc.constantFrom("ada", "bob");
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ step: fc.constant("send"), from: agent, to: fc.constantFrom("ada", "bob", "nobody") }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        step: fc.constantFrom("up", "down", "lose answers", "keep answers", "crash", "wait", "close"),
      }),
    },
    { weight: 1, arbitrary: fc.record({ step: fc.constantFrom("fill", "empty"), to: agent }) },
  ) as fc.Arbitrary<Step>,
  { maxLength: 40 },
);

describe("an outbox over whatever happens to it and to the server", () => {
  it("hands over what it accepted exactly once, each sender's to each recipient in its order", async () => {
    await using folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        await run(history, folder.path);
      }),
      { numRuns: 60 },
    );
  });
});

async function run(history: readonly Step[], parent: string): Promise<void> {
  const office = createPostOffice();
  const accepted: { id: string; lane: string; refused: boolean }[] = [];
  let folder = await mkdtemp(path.join(parent, "run-"));
  const key_file = path.join(parent, "keys", "outbox.key");
  const open = () =>
    openOutbox({ file: path.join(folder, "outbox.db"), key_file, client: office.client, retry_max_ms: 2 });
  let outbox = open();

  /** What a power cut would leave: the files as they are in this moment, and nothing that is only in memory. */
  async function crash(): Promise<Outbox> {
    const image = await mkdtemp(path.join(parent, "run-"));
    for (const name of ["outbox.db", "outbox.db-wal"]) {
      await copyFile(path.join(folder, name), path.join(image, name));
    }
    await outbox[Symbol.asyncDispose]();
    folder = image;
    return open();
  }

  for (const it of history) {
    switch (it.step) {
      case "send": {
        const { id } = await outbox.send({ from_agent: it.from, to_agent: it.to, content: String(accepted.length) });
        accepted.push({ id, lane: `${it.from} to ${it.to}`, refused: it.to === "nobody" });
        break;
      }
      case "up":
      case "down":
        office.state.up = it.step === "up";
        break;
      case "lose answers":
      case "keep answers":
        office.state.losesAnswers = it.step === "lose answers";
        break;
      case "fill":
        office.state.full.add(it.to);
        break;
      case "empty":
        office.state.full.delete(it.to);
        break;
      case "wait":
        await new Promise((resolve) => setTimeout(resolve, 3));
        break;
      case "crash":
        outbox = await crash();
        break;
      case "close":
        await outbox[Symbol.asyncDispose]();
        outbox = open();
        break;
    }
  }
  Object.assign(office.state, { up: true, losesAnswers: false });
  office.state.full.clear();
  const { queued, refused } = await outbox.flush();
  await outbox[Symbol.asyncDispose]();

  assert.deepEqual([queued, refused], [0, accepted.filter((it) => it.refused).length]);
  const arrived = office.arrivals();
  assert.equal(arrived.length, accepted.filter((it) => !it.refused).length);
  for (const lane of new Set(accepted.filter((it) => !it.refused).map((it) => it.lane))) {
    assert.deepEqual(
      arrived.filter((it) => `${it.from_agent} to ${it.to_agent}` === lane).map((it) => it.id),
      accepted.filter((it) => it.lane === lane).map((it) => it.id),
    );
  }
}
