import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { AuditNote } from "../../src/app/ports.ts";
import { auditEvents } from "../../src/contract/audit.ts";
import { readHead, sealHead } from "../../src/stores/audit/chain.ts";
import type { AuditProblem } from "../../src/stores/audit/judge.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { allLines, aNote, auditKey, keptHead, placeLines, placeText, verify, writeLog } from "./logs.ts";

const scalar = fc.oneof(fc.string({ unit: "binary" }), fc.integer(), fc.boolean());
const note: fc.Arbitrary<AuditNote> = fc
  .record({
    event: fc.constantFrom(...auditEvents),
    actor: fc.string({ unit: "binary" }),
    detail: fc.dictionary(
      fc.string().filter((it) => it !== "__proto__"),
      scalar,
      { maxKeys: 3 },
    ),
  })
  .map(aNote);
const notes = fc.array(note, { minLength: 2, maxLength: 8 });
/** A place in a list or text of any length. */
const place = fc.integer({ min: 0, max: 2 ** 30 });

type Written = {
  readonly folder: string;
  readonly lines: readonly string[];
  readonly head: ReturnType<typeof keptHead>;
};

/** Writes a log, lets `tamper` make another out of its lines, and says what the judge finds. */
async function afterTampering(
  folder: string,
  written: readonly AuditNote[],
  tamper: (log: Written) => readonly string[] | string,
) {
  const head = keptHead();
  const original = path.join(folder, `original-${counter}`);
  placeText(original, "");
  await writeLog(original, head, written);
  const lines = await allLines(original);
  const changed = tamper({ folder, lines, head });
  const copy = path.join(folder, `copy-${counter++}`);
  const place = typeof changed === "string" ? placeText(copy, changed) : placeLines(copy, changed);
  return { verdict: await verify(place, head), lines };
}
let counter = 0;

function law(
  name: string,
  tamper: (log: Written, a: number, b: number) => readonly string[] | string | undefined,
  expected: (lines: number, a: number, b: number) => { readonly problem: AuditProblem; readonly line: number },
) {
  it(name, async () => {
    await using folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(notes, place, place, async (written, a, b) => {
        let skipped = false;
        const { verdict, lines } = await afterTampering(folder.path, written, (log) => {
          const changed = tamper(log, a, b);
          skipped = changed === undefined;
          return changed ?? log.lines;
        });
        fc.pre(!skipped);
        const { problem, line } = verdict;
        assert.deepEqual({ whole: verdict.whole, problem, line }, { whole: false, ...expected(lines.length, a, b) });
      }),
      { numRuns: 60 },
    );
  });
}

describe("a log that was tampered with", () => {
  law(
    "names the line in which a character was exchanged",
    ({ lines }, a, b) => {
      const line = lines[a % lines.length] ?? "";
      const at = b % line.length;
      const other = String.fromCharCode(33 + ((line.charCodeAt(at) - 33 + 1 + (b % 90)) % 94));
      if (other === line[at]) return undefined;
      return lines.with(a % lines.length, line.slice(0, at) + other + line.slice(at + 1));
    },
    (lines, a) => ({ problem: "edited", line: (a % lines) + 1 }),
  );

  law(
    "names the place of a line that was taken out",
    ({ lines }, a) => lines.toSpliced(a % (lines.length - 1), 1),
    (lines, a) => ({ problem: "removed", line: (a % (lines - 1)) + 1 }),
  );

  law(
    "names the first of two lines that were exchanged",
    ({ lines }, a, b) => {
      const [i, j] = [a % lines.length, b % lines.length];
      if (i === j) return undefined;
      return lines.with(i, lines[j] ?? "").with(j, lines[i] ?? "");
    },
    (lines, a, b) => ({ problem: "reordered", line: Math.min(a % lines, b % lines) + 1 }),
  );

  law(
    "names a line of its own that was put in a second time",
    ({ lines }, a, b) => lines.toSpliced(a % (lines.length + 1), 0, lines[b % lines.length] ?? ""),
    (lines, a, b) => {
      const [to, of] = [a % (lines + 1), b % lines];
      // Put in right before itself, it is the second of the two that is one too many.
      return { problem: "inserted", line: to === of ? of + 2 : to + 1 };
    },
  );

  law(
    "names a line that no server wrote",
    ({ lines }, a, b) => lines.toSpliced(a % (lines.length + 1), 0, ["", "{}", "x".repeat(80)][b % 3] ?? ""),
    (lines, a) => ({ problem: "inserted", line: (a % (lines + 1)) + 1 }),
  );

  law(
    "names the line from which on it was cut off",
    ({ lines }, a) => lines.slice(0, a % lines.length),
    (lines, a) => ({ problem: "cut_off", line: Math.max(1, (a % lines) + 1) }),
  );

  it("is found out wherever a byte was cut off at its end, or changed to any other", async () => {
    await using folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(notes, place, fc.integer({ min: 1, max: 255 }), async (written, at, change) => {
        const { verdict } = await afterTampering(folder.path, written, ({ lines }) => {
          const text = lines.map((it) => `${it}\n`).join("");
          return text.slice(0, at % text.length);
        });
        assert.equal(verdict.problem, "cut_off");
        const flipped = await afterTampering(folder.path, written, ({ lines }) => {
          const bytes = Buffer.from(lines.map((it) => `${it}\n`).join(""), "latin1");
          bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ change;
          return bytes.toString("latin1");
        });
        assert.equal(flipped.verdict.whole, false);
      }),
      { numRuns: 60 },
    );
  });

  it("is found out though whoever cut it also set the head back, without the key", async () => {
    await using folder = await temporaryFolder();
    const written = [aNote(), aNote(), aNote()];
    const forgeries: ((lines: readonly string[], head: string) => string | undefined)[] = [
      (lines, head) => {
        const { mac } = JSON.parse(lines[1] ?? "") as { mac: string };
        return JSON.stringify({ ...JSON.parse(head), seq: 2, mac });
      },
      (lines) => {
        const { mac } = JSON.parse(lines[1] ?? "") as { mac: string };
        return JSON.stringify({ seq: 2, mac, seal: mac });
      },
      () => sealHead(new Uint8Array(32), { seq: 0, mac: "" }),
      () => "no head",
      () => undefined,
    ];
    for (const forge of forgeries) {
      const { verdict } = await afterTampering(folder.path, written, ({ lines, head }) => {
        head.text = forge(lines, head.text ?? "");
        return lines.slice(0, 2);
      });
      assert.deepEqual([verdict.whole, verdict.problem], [false, "head_lost"]);
    }
  });

  it("is found out though every line is gone and the head was made unreadable", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await writeLog(folder.path, head, [aNote()]);
    placeText(folder.path, "");
    head.text = head.text?.replace('"seal":"', '"seal":"x') ?? "";
    const { whole, problem } = await verify(folder.path, head);
    assert.deepEqual([whole, problem], [false, "head_lost"]);
  });

  it("is found out though all of it was written anew with another key", async () => {
    await using folder = await temporaryFolder();
    const { verdict } = await afterTampering(folder.path, [aNote(), aNote()], ({ lines }) =>
      lines.map((it) => it.replace(/"mac":"../, '"mac":"AA')),
    );
    assert.deepEqual([verdict.problem, verdict.line, verdict.entries], ["edited", 1, 0]);
  });

  it("says which entries are missing, and how much before them is whole", async () => {
    await using folder = await temporaryFolder();
    const five = [1, 2, 3, 4, 5].map(() => aNote());
    const { verdict } = await afterTampering(folder.path, five, ({ lines }) => lines.toSpliced(1, 2));
    assert.equal(verdict.explanation, "entries 2 to 3 are missing before entry 4");
    assert.equal(verdict.entries, 1);
    const one = await afterTampering(folder.path, five, ({ lines }) => lines.slice(0, 4));
    assert.equal(one.verdict.explanation, "entry 5 is cut off at the end");
  });

  it("tells a line of another copy of the log, made with the same key, from its own", async () => {
    await using folder = await temporaryFolder();
    const other = await afterTampering(
      folder.path,
      [aNote({ actor: "a" }), aNote({ actor: "b" })],
      ({ lines }) => lines,
    );
    const { verdict } = await afterTampering(folder.path, [aNote(), aNote()], ({ lines }) =>
      lines.with(1, other.lines[1] ?? ""),
    );
    assert.deepEqual([verdict.problem, verdict.line], ["edited", 2]);
    const end = await afterTampering(folder.path, [aNote(), aNote()], () => other.lines);
    assert.deepEqual([end.verdict.problem, end.verdict.line], ["edited", 2]);
  });
});

describe("a log that nobody touched", () => {
  it("is whole, whatever was noted, and tells from when to when", async () => {
    await using folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(notes, async (written) => {
        const { verdict } = await afterTampering(folder.path, written, ({ lines }) => lines);
        const at = "2026-01-05T09:00:00.000Z";
        assert.deepEqual(verdict, { whole: true, entries: written.length, from: at, to: at });
      }),
      { numRuns: 60 },
    );
  });

  it("is whole while its head is behind, as a crash between the two leaves it", async () => {
    await using folder = await temporaryFolder();
    const { verdict } = await afterTampering(folder.path, [aNote(), aNote(), aNote()], ({ lines, head }) => {
      const { mac } = JSON.parse(lines[0] ?? "") as { mac: string };
      head.text = sealHead(auditKey, { seq: 1, mac });
      assert.deepEqual(readHead(auditKey, head.text), { seq: 1, mac });
      return lines;
    });
    assert.equal(verdict.whole, true);
  });

  it("is whole while its last line is still being written", async () => {
    await using folder = await temporaryFolder();
    const { verdict } = await afterTampering(
      folder.path,
      [aNote(), aNote()],
      ({ lines }) => `${lines.join("\n")}\n{"seq"`,
    );
    assert.deepEqual([verdict.whole, verdict.unfinished_bytes], [true, 6]);
  });

  it("is whole while there is nothing in it", async () => {
    await using folder = await temporaryFolder();
    assert.deepEqual(await verify(folder.path, keptHead()), { whole: true, entries: 0 });
    assert.deepEqual(await verify(path.join(folder.path, "none"), keptHead()), { whole: true, entries: 0 });
  });
});
