import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { checkDatabase, checkDisk, checkFolder, checkToken } from "../../src/cli/doctor-folder.ts";
import { checkClock, checkEnvironment, checkProgram } from "../../src/cli/doctor-machine.ts";
import { checkServer } from "../../src/cli/doctor-server.ts";
import type { Finding } from "../../src/cli/finding.ts";
import { monday_ms, temporaryFolder } from "../support/fixtures.ts";
import { fakeTerminal } from "./fake-terminal.ts";
import { openTestHive } from "./test-hive.ts";

async function verdicts(findings: AsyncIterable<Finding> | Iterable<Finding>): Promise<string[]> {
  const found: string[] = [];
  for await (const { check, verdict, mend } of findings) {
    found.push(`${check}: ${verdict}`);
    assert.equal(mend !== undefined || check === "database", verdict !== "right", `${check} says how to mend it`);
  }
  return found;
}

describe("the doctor", () => {
  it("knows which versions are safe", async () => {
    const versions = (node: string, sqlite: string) => verdicts(checkProgram({ ...process.versions, node, sqlite }));
    assert.deepEqual(await versions("24.15.0", "3.51.3"), ["Node: right", "SQLite: right"]);
    assert.deepEqual(await versions("26.0.0", "4.0.0"), ["Node: right", "SQLite: right"]);
    assert.deepEqual(await versions("24.14.9", "3.51.2"), ["Node: wrong", "SQLite: wrong"]);
    assert.deepEqual(await versions("20.19.0", "3.9.99"), ["Node: wrong", "SQLite: wrong"]);
  });

  it("notices a clock that cannot be right, or differs from the server's", async () => {
    const at = (now_ms: number, server_ms?: number) => verdicts(checkClock(now_ms, server_ms));
    assert.deepEqual(await at(monday_ms), ["clock: right"]);
    assert.deepEqual(await at(monday_ms, monday_ms - 4_000), ["clock: right"]);
    assert.deepEqual(await at(monday_ms, monday_ms + 60_000), ["clock: odd"]);
    assert.deepEqual(await at(0), ["clock: wrong"]);
  });

  it("notices variables that are misspelt", async () => {
    assert.deepEqual(await verdicts(checkEnvironment({ HIVEPOST_PROT: "1", HIVEPOST_PORT: "1", PATH: "x" })), [
      "environment: odd",
    ]);
  });

  it("looks at the folder", async () => {
    await using folder = await temporaryFolder();
    await chmod(folder.path, 0o700);
    assert.deepEqual(await verdicts(checkFolder(folder.path)), ["folder: right"]);
    await chmod(folder.path, 0o750);
    assert.deepEqual(await verdicts(checkFolder(folder.path)), ["folder: odd"]);
    const file = path.join(folder.path, "file");
    await writeFile(file, "");
    assert.deepEqual(await verdicts(checkFolder(file)), ["folder: wrong"]);
    assert.deepEqual(await verdicts(checkFolder(path.join(folder.path, "missing"))), ["folder: odd"]);
    assert.deepEqual(await verdicts(checkFolder(path.join(file, "below"))), ["folder: odd"]);
  });

  it("looks at the space that is left", async () => {
    await using folder = await temporaryFolder();
    assert.match((await verdicts(checkDisk(folder.path))).join(), /^disk: (right|odd|wrong)$/);
    assert.deepEqual(await verdicts(checkDisk("/nowhere/at/all")), []);
    const full = async () => ({ bavail: 10, bsize: 4_096 });
    assert.deepEqual(await verdicts(checkDisk(folder.path, full)), ["disk: wrong"]);
    const tight = async () => ({ bavail: 100_000, bsize: 4_096 });
    assert.deepEqual(await verdicts(checkDisk(folder.path, tight)), ["disk: odd"]);
  });

  it("looks at the token", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "admin.token");
    assert.deepEqual(await verdicts(checkToken(folder.path)), ["admin token: odd"]);
    assert.deepEqual(await verdicts(checkToken("/nowhere/at/all")), []);
    await writeFile(file, "hvp_admin_abc_def_ghi\n", { mode: 0o600 });
    assert.deepEqual(await verdicts(checkToken(folder.path)), ["admin token: right"]);
    await chmod(file, 0o644);
    assert.deepEqual(await verdicts(checkToken(folder.path)), ["admin token: odd"]);
    await writeFile(file, "");
    assert.deepEqual(await verdicts(checkToken(folder.path)), ["admin token: wrong"]);
  });

  it("looks at the database", async () => {
    await using folder = await temporaryFolder();
    const { stderr } = fakeTerminal({});
    assert.deepEqual(await verdicts(checkDatabase(folder.path, false, stderr)), []);
    await writeFile(path.join(folder.path, "hivepost.db"), "SQLite format 3\u0000 and then nonsense".repeat(1_000));
    assert.deepEqual(await verdicts(checkDatabase(folder.path, false, stderr)), ["database: wrong"]);
  });
});

describe("the doctor at a server", () => {
  const signal = new AbortController().signal;
  const here = { host: "127.0.0.1", port: 0, folder: "/nowhere/at/all", named: false, signal };
  const at = (url: string, token?: string) => ({ ...here, server: { url, token, tokenOrigin: "a file" } });

  it("finds that it answers and takes the token", async () => {
    await using hive = await openTestHive();
    const { findings, running, clock_ms } = await checkServer(at(hive.url, hive.token));
    assert.deepEqual([await verdicts(findings), running], [["server: right", "token: right"], true]);
    assert.ok(Math.abs((clock_ms ?? 0) - Date.now()) < 60_000);
    assert.deepEqual(await verdicts((await checkServer(at(hive.url, "hvp_wrong"))).findings), [
      "server: right",
      "token: wrong",
    ]);
  });

  it("finds that another server works on the folder", async () => {
    await using hive = await openTestHive();
    const { findings } = await checkServer({ ...at("http://127.0.0.1:4"), folder: hive.dataDir });
    assert.deepEqual(await verdicts(findings), ["server: wrong", "port: right"]);
    assert.match(
      findings[0]?.text ?? "",
      /another server \(process \d+\) works on .*, but not at http:\/\/127\.0\.0\.1:4$/,
    );
  });

  it("finds that another program has the port", async () => {
    await using folder = await temporaryFolder();
    const other = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as AddressInfo;
    const { findings } = await checkServer({ ...at(`http://127.0.0.1:${port}`), port, folder: folder.path });
    other.close();
    assert.deepEqual(await verdicts(findings.filter((it) => it.check === "server")), ["server: odd"]);
    assert.match(findings.find((it) => it.check === "port")?.text ?? "", /is in use by another program/);
  });

  it("takes a server that was named and is away for a fault", async () => {
    const { findings, running } = await checkServer({ ...at("http://127.0.0.1:4"), named: true });
    assert.deepEqual([findings.map((it) => it.verdict), running], [["wrong"], false]);
  });

  it("notices a server that does not say that all is well, or tells no time", async () => {
    const other = createServer((request, response) => {
      response.sendDate = false;
      const body = request.url?.startsWith("/health") ? { status: "degraded" } : { conversations: [] };
      response.end(JSON.stringify(body));
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as AddressInfo;
    const { findings, clock_ms } = await checkServer(at(`http://127.0.0.1:${port}`, "t"));
    other.closeAllConnections();
    other.close();
    assert.deepEqual([await verdicts(findings), clock_ms], [["server: odd", "token: right"], undefined]);
  });

  it("can examine a folder that is there but was never used", async () => {
    await using folder = await temporaryFolder();
    await mkdir(path.join(folder.path, "new"));
    const { findings } = await checkServer({ ...at("http://127.0.0.1:4"), folder: path.join(folder.path, "new") });
    assert.deepEqual(await verdicts(findings), ["server: odd", "port: right"]);
  });
});
