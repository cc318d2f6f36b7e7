import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import type { AuditEntry } from "../../src/contract/audit.ts";
import { sealHead } from "../../src/stores/audit/chain.ts";
import { currentName } from "../../src/stores/audit/lines.ts";
import { openMemoryAudit } from "../../src/stores/memory/audit.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import {
  allLines,
  aNote,
  auditKey,
  currentText,
  keptHead,
  openLog,
  placeLines,
  placeText,
  verify,
  writeLog,
} from "./logs.ts";

const actors = (entries: readonly AuditEntry[]) => entries.map((it) => it.actor);
const manyNotes = (count: number) => Array.from({ length: count }, (_, i) => aNote({ actor: `a${i + 1}` }));

describe("the audit log on disk", () => {
  it("is for its owner alone, and has an entry on disk when it says so", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await using log = await openLog(folder.path, head);
    await log.append([aNote({ actor: "zoë", key_id: "k1", address: "::1" })]);
    assert.equal(statSync(path.join(folder.path, currentName)).mode & 0o777, 0o600);
    const text = currentText(folder.path);
    assert.match(text, /^[\x20-\x7e]*\n$/);
    const { seq, actor, key_id, address, prev } = JSON.parse(text) as AuditEntry;
    assert.deepEqual([seq, actor, key_id, address, prev], [1, "zoë", "k1", "::1", ""]);
  });

  it("keeps what many write at once, each once and in one chain", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    const log = await openLog(folder.path, head);
    await Promise.all(manyNotes(200).map((it) => log.append([it])));
    await log[Symbol.asyncDispose]();
    assert.deepEqual((await verify(folder.path, head)).entries, 200);
    const written = (await allLines(folder.path)).map((it) => (JSON.parse(it) as AuditEntry).actor);
    assert.deepEqual(written, actors(manyNotes(200) as AuditEntry[]));
  });

  it("goes on in a new file when one is full, with one chain through all of them, also after restarts", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await writeLog(folder.path, head, manyNotes(7), 600);
    await writeLog(folder.path, head, manyNotes(7), 600);
    const files = readdirSync(folder.path).sort();
    assert.ok(files.length >= 4, files.join());
    const verdict = await verify(folder.path, head);
    assert.deepEqual([verdict.whole, verdict.entries], [true, 14]);
    rmSync(path.join(folder.path, files[1] ?? ""));
    const cut = await verify(folder.path, head);
    assert.deepEqual([cut.problem, cut.line], ["removed", 1]);
  });

  it("names the file in which something is wrong", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await writeLog(folder.path, head, manyNotes(7), 600);
    const [first = ""] = readdirSync(folder.path).sort();
    appendFileSync(path.join(folder.path, first), "half a line");
    const { problem, file, line } = await verify(folder.path, head);
    assert.deepEqual([problem, file], ["inserted", first]);
    assert.ok(line && line > 1);
  });

  it("is found whole by who reads it while it is written and begins new files", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await using log = await openLog(folder.path, head, 20_000);
    const writing = (async () => {
      for (const note of manyNotes(300)) await log.append([note]);
    })();
    let isWritten = false;
    void writing.then(() => {
      isWritten = true;
    });
    let looks = 0;
    while (!isWritten) {
      const verdict = await verify(folder.path, head);
      assert.equal(verdict.whole, true, JSON.stringify(verdict));
      const { rows } = await log.entries({ limit: 500 });
      assert.deepEqual(
        rows.map((it) => it.seq),
        rows.map((_, index) => rows.length - index),
      );
      looks += 1;
    }
    await writing;
    assert.ok(looks > 1);
  });
});

describe("a start after a crash", () => {
  it("takes an unfinished line out and says so, wherever it broke off", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await writeLog(path.join(placeText(path.join(folder.path, "a"), "")), head, manyNotes(2));
    const lines = await allLines(path.join(folder.path, "a"));
    const unfinished = lines[1] ?? "";
    for (const kept of [1, 20, unfinished.length - 1, unfinished.length]) {
      const place = path.join(folder.path, `torn-${kept}`);
      placeText(place, `${lines[0]}\n${unfinished.slice(0, kept)}`);
      const behind = keptHead(headAfter(lines[0]));
      await writeLog(place, behind, [aNote({ actor: "next" })]);
      assert.equal((await verify(place, behind)).whole, true);
      const entries = (await allLines(place)).map((it) => JSON.parse(it) as AuditEntry);
      assert.deepEqual(
        entries.map((it) => it.event),
        ["agent_removed", "audit_mended", "agent_removed"],
      );
      assert.deepEqual(entries[1]?.detail, { problem: "unfinished_line", dropped_bytes: kept });
    }
  });

  it("takes up what stands behind the head, and the head catches up", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await writeLog(folder.path, head, manyNotes(3));
    head.text = headAfter((await allLines(folder.path))[0]);
    await writeLog(folder.path, head, [aNote()]);
    assert.deepEqual((await verify(folder.path, head)).entries, 4);
    truncateSync(path.join(folder.path, currentName), statSync(path.join(folder.path, currentName)).size - 1);
    assert.equal((await verify(folder.path, head)).problem, "cut_off");
  });

  it("makes up for a long unfinished line, and for one that is all there is", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    placeText(folder.path, "x".repeat(200_000));
    await writeLog(folder.path, head, [aNote()]);
    assert.equal((await verify(folder.path, head)).entries, 2);
  });
});

describe("a start after somebody was at the log", () => {
  const cases: [string, (lines: string[]) => readonly string[], problem: string, stays: string][] = [
    ["cut its end off", (lines) => lines.slice(0, 1), "cut_off", "removed"],
    ["emptied it", () => [], "cut_off", "removed"],
    ["changed its last line", (lines) => lines.with(2, `${lines[2]?.slice(0, -3)}x"}`), "edited", "edited"],
  ];
  for (const [what, tamper, problem, stays] of cases) {
    it(`says in the log that somebody ${what}, and no later start makes that good`, async () => {
      await using folder = await temporaryFolder();
      const head = keptHead();
      await writeLog(path.join(placeText(path.join(folder.path, "a"), "")), head, manyNotes(3));
      const place = placeLines(path.join(folder.path, "b"), tamper(await allLines(path.join(folder.path, "a"))));
      await writeLog(place, head, [aNote()]);
      await writeLog(place, head, [aNote()]);
      const verdict = await verify(place, head);
      assert.deepEqual([verdict.whole, verdict.problem], [false, stays]);
      const told = (await allLines(place)).map((it) => JSON.parse(it) as AuditEntry);
      assert.equal(told.find((it) => it.event === "audit_damaged")?.detail["problem"], problem);
      assert.equal(told.filter((it) => it.event === "audit_damaged").length, 1);
    });
  }

  it("says that the head is lost, and goes on", async () => {
    await using folder = await temporaryFolder();
    await writeLog(folder.path, keptHead(), manyNotes(2));
    const head = keptHead();
    await writeLog(folder.path, head, [aNote()]);
    const told = JSON.parse((await allLines(folder.path))[2] ?? "") as AuditEntry;
    assert.deepEqual([told.event, told.detail], ["audit_damaged", { problem: "head_lost" }]);
    assert.equal((await verify(folder.path, head)).whole, true);
  });
});

const withoutMount = process.getuid?.() === 0 ? false : "mounting a small disk needs root";

describe("a disk on which nothing can be written", () => {
  it("makes an entry fail whole, and the next one succeed when there is space again", {
    skip: withoutMount,
  }, async () => {
    await using folder = await temporaryFolder();
    const disk = path.join(folder.path, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    try {
      const ballast = path.join(disk, "ballast");
      writeFileSync(ballast, Buffer.alloc(32_768));
      const head = keptHead();
      await using log = await openLog(disk, head);
      let kept = 0;
      const fill = async () => {
        for (; kept < 1_000; kept++) await log.append([aNote()]);
      };
      await assert.rejects(fill(), { name: "BusError", code: "storage_full", message: /nothing was done/ });
      rmSync(ballast);
      await log.append([aNote({ actor: "after" })]);
      assert.deepEqual(await verify(disk, head).then((it) => [it.whole, it.entries]), [true, kept + 1]);
    } finally {
      execFileSync("umount", ["--lazy", disk]);
    }
  });

  it("fails with a code that says so where the database refuses its head, and the entry stands all the same", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await using log = await openLog(folder.path, {
      read: head.read,
      write: async (text) => {
        if (head.text !== undefined) throw new Error("disk full");
        await head.write(text);
      },
    });
    await log.append([aNote()]);
    assert.deepEqual(await verify(folder.path, head).then((it) => [it.whole, it.entries]), [true, 1]);
  });
});

for (const kind of ["on disk", "in memory"] as const) {
  describe(`entries ${kind}`, () => {
    it("are found by event, actor and time, the latest first, a page at a time", async () => {
      await using folder = await temporaryFolder();
      await using opened = new AsyncDisposableStack();
      const log = kind === "in memory" ? openMemoryAudit() : opened.use(await openLog(folder.path, keptHead(), 700));
      const minute = (m: number) => `2026-01-05T09:0${m}:00.000Z`;
      for (let m = 0; m < 10; m++) {
        await log.append([
          aNote({ at: minute(m), actor: m % 2 ? "odd" : "even", event: m < 5 ? "agent_removed" : "audit_read" }),
        ]);
      }
      const seqs = async (query: Partial<Parameters<typeof log.entries>[0]>) =>
        (await log.entries({ limit: 100, ...query })).rows.map((it) => it.seq);
      assert.deepEqual(await seqs({ actor: "odd" }), [10, 8, 6, 4, 2]);
      assert.deepEqual(await seqs({ event: "audit_read", actor: "even" }), [9, 7]);
      const at = (m: number) => Date.parse(minute(m));
      assert.deepEqual(await seqs({ since_ms: at(3), until_ms: at(5) }), [5, 4]);
      const first = await log.entries({ limit: 4 });
      assert.deepEqual([first.rows.map((it) => it.seq), first.next], [[10, 9, 8, 7], 7]);
      const last = await log.entries({ limit: 6, before_seq: 7 });
      assert.deepEqual([last.rows.map((it) => it.seq), last.next], [[6, 5, 4, 3, 2, 1], undefined]);
    });
  });
}

function headAfter(line = "") {
  const { seq, mac } = JSON.parse(line) as AuditEntry;
  return sealHead(auditKey, { seq, mac });
}
