import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { runHivepost, spawnHivepost, spawnServer } from "./spawned.ts";

describe("hivepost serve", () => {
  it("prints one line when it is ready, and stops at SIGTERM with what was accepted on disk", async () => {
    await using folder = await temporaryFolder();
    const environment = { HIVEPOST_DATA_DIR: folder.path };
    await using first = await spawnServer(folder.path);
    const at = { environment: { ...environment, HIVEPOST_URL: first.url } };
    await runHivepost(["register", "bob"], at);
    const sent = await runHivepost(["send", "bob", "-"], { ...at, stdin: "kept over a restart" });
    assert.equal(sent.code, 0, sent.err);
    first.process.kill("SIGTERM");
    assert.equal(await first.ended, 0);
    assert.equal(first.out(), `listening on ${first.url}\n`);

    await using second = await spawnServer(folder.path);
    const claimed = await runHivepost(["claim", "bob"], { environment: { ...environment, HIVEPOST_URL: second.url } });
    assert.match(claimed.out, /\nkept over a restart\n<\/message /);
    second.process.kill("SIGINT");
    assert.equal(await second.ended, 0);
  });

  it("tells a person what to type next, and it works as typed", async () => {
    await using folder = await temporaryFolder();
    await using server = await spawnServer(folder.path, { environment: { npm_lifecycle_event: "start" } });
    const told = await eventually(
      "the steps are shown",
      () => /Now, in another terminal:\n([\s\S]*?)\n\n/.exec(server.err())?.[1],
    );
    assert.equal(told.match(/^ {2}npx hivepost /gm)?.length, 3);
    // A shell to which `npx hivepost` is this checkout's program, with the same Node.
    const typed = `set -e\nnpx() { shift; "${process.execPath}" bin/hivepost.js "$@"; }\n${told}`;
    const { stdout } = await promisify(execFile)("sh", ["-c", typed]);
    assert.match(stdout, /^registered bob[\s\S]*\nsent [\s\S]*\nPlease review the login page\n<\/message /);
  });

  it("says nothing but the one line to a program", async () => {
    await using folder = await temporaryFolder();
    await using server = await spawnServer(folder.path);
    server.process.kill("SIGTERM");
    await server.ended;
    for (const line of server.err().trim().split("\n")) assert.equal(typeof JSON.parse(line).msg, "string");
  });

  it("refuses a port or a folder that another uses, in one line each", async () => {
    await using folder = await temporaryFolder();
    await using other = await temporaryFolder();
    await using server = await spawnServer(folder.path);
    const { port } = new URL(server.url);
    const samePort = await runHivepost(["serve", "--port", port, "--data-dir", other.path, "--log-level", "silent"]);
    assert.equal(samePort.code, 1);
    assert.match(
      samePort.err,
      new RegExp(`^hivepost: 127\\.0\\.0\\.1:${port} is in use by another program; .*--port.*\n$`),
    );
    const sameFolder = await runHivepost(["serve", "--port", "0", "--data-dir", folder.path]);
    assert.equal(sameFolder.code, 1);
    assert.match(sameFolder.err, /^hivepost: data_dir_in_use: another server \(process \d+\) works on .*--data-dir\n$/);
  });

  it("refuses folders, databases, tokens and settings it cannot work with, naming the way out", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "file");
    await writeFile(file, "");
    const [damaged, mangled] = [path.join(folder.path, "damaged"), path.join(folder.path, "mangled")];
    await mkdir(damaged);
    await writeFile(
      path.join(damaged, "hivepost.db"),
      "SQLite format 3\u0000 and then nothing that makes sense".repeat(100),
    );
    await mkdir(mangled);
    await writeFile(path.join(mangled, "admin.token"), "hvp_admin_cut");
    for (const [argv, message] of [
      [["--data-dir", file], /^hivepost: .*file.*\n$/],
      [["--data-dir", damaged], /^hivepost: database_damaged: .*restore.*\n$/],
      [["--data-dir", mangled], /^hivepost: unavailable: .*admin\.token holds no whole token; move it away.*\n$/],
      [["--port", "x"], /^hivepost: invalid_input: --port: expected a whole number from 0 to 65535, got "x".*\n$/],
      [["--log-level", "loud"], /^hivepost: invalid_input: --log-level: expected trace, debug, .*\n$/],
      [["--config", "/nowhere.json"], /^hivepost: invalid_input: cannot use the config file \/nowhere\.json.*\n$/],
      [["--prot", "1"], /^hivepost: there is no flag --prot \(did you mean --port\?\).*\n$/],
    ] as const) {
      const own = argv[0] === "--data-dir" ? [] : ["--data-dir", path.join(folder.path, "own")];
      const { code, out, err } = await runHivepost(
        ["serve", "--port=0", "--log-level=error", ...own, ...argv].filter(once),
      );
      assert.deepEqual([code, out], [argv[0] === "--prot" ? 2 : 1, ""], err);
      assert.match(err, message);
    }
  });
});

/** Leaves out the flags of the front for those that the case sets itself. */
function once(argument: string, i: number, argv: string[]): boolean {
  const [name] = argument.split("=");
  return !argument.includes("=") || argv.lastIndexOf(name ?? "") < i;
}

describe("a signal", () => {
  const script = `
    import { stopSignal } from "${new URL("../../src/cli/signals.ts", import.meta.url)}";
    using stop = stopSignal();
    stop.signal.addEventListener("abort", () => console.log("stopping"));
    console.log("ready");
    setInterval(() => {}, 1_000);
    await new Promise(() => {});
  `;

  it("asks to stop; the same one again, passed on at once, is no second wish; a later one ends the process", async () => {
    await using folder = await temporaryFolder();
    const program = path.join(folder.path, "stubborn.mjs");
    await writeFile(program, script);
    await using stubborn = spawnHivepost([], { program });
    await eventually("it runs", () => stubborn.out().includes("ready"));
    stubborn.process.kill("SIGTERM");
    stubborn.process.kill("SIGTERM");
    await eventually("it has heard", () => stubborn.out().includes("stopping"));
    // Longer than a signal takes to be passed on: what the program itself goes by.
    await sleep(600);
    assert.equal(stubborn.process.exitCode, null);
    stubborn.process.kill("SIGTERM");
    assert.equal(await stubborn.ended, 143);
  });
});

describe("the program under an older Node", () => {
  /** Makes a Node believe that it is another version. */
  const posing = `--import=data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.1.0"}})`;

  /** A checkout elsewhere, with or without a Node of its own, which is this one again but honest. */
  async function checkout(folder: string, { withNode }: { withNode: boolean }): Promise<string> {
    await cp("bin", path.join(folder, "bin"), { recursive: true });
    await cp("package.json", path.join(folder, "package.json"));
    await symlink(path.resolve("src"), path.join(folder, "src"));
    if (withNode) {
      await mkdir(path.join(folder, "node_modules/node/bin"), { recursive: true });
      const honest = `#!/bin/sh\nshift\nexec "${process.execPath}" "$@"\n`;
      await writeFile(path.join(folder, "node_modules/node/bin/node"), honest, { mode: 0o755 });
    }
    return path.join(folder, "bin/hivepost.js");
  }

  it("says in one line what it needs and where to get it", async () => {
    await using folder = await temporaryFolder();
    const program = await checkout(folder.path, { withNode: false });
    const { code, out, err } = await runHivepost(["help"], { program, execArgv: [posing] });
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, /^hivepost: needs Node 24\.15 or newer, but this is Node 20\.1\.0 .*npm ci.*\n$/);
  });

  it("runs with the Node of its checkout, with its input, output and exit codes", async () => {
    await using folder = await temporaryFolder();
    const program = await checkout(folder.path, { withNode: true });
    const version = await runHivepost(["version", "--json"], { program, execArgv: [posing] });
    assert.equal(JSON.parse(version.out).node, process.versions.node);
    const wrong = await runHivepost(["sned"], { program, execArgv: [posing] });
    assert.equal(wrong.code, 2);
  });

  it("passes signals on, and does not leave a server behind when it is killed", async () => {
    await using folder = await temporaryFolder();
    await using data = await temporaryFolder();
    const program = await checkout(folder.path, { withNode: true });
    await using graceful = await spawnServer(data.path, { program, execArgv: [posing] });
    graceful.process.kill("SIGTERM");
    assert.equal(await graceful.ended, 0);

    await using killed = await spawnServer(data.path, { program, execArgv: [posing] });
    killed.process.kill("SIGKILL");
    await eventually("the server is gone as well", () =>
      fetch(`${killed.url}/health`).then(
        () => false,
        () => true,
      ),
    );
    await using next = await spawnServer(data.path);
    assert.match(next.out(), /^listening on /);
  });
});

describe("the program in a pipe", () => {
  it("ends quietly when nobody reads on", async () => {
    await using reader = spawnHivepost(["help"]);
    reader.process.stdout?.destroy();
    assert.equal(await reader.ended, 0);
    assert.equal(reader.err(), "");
  });

  it("refuses input that is no text", async () => {
    await using broken = spawnHivepost(["send", "bob", "-", "--url", "http://127.0.0.1:4"]);
    broken.process.stdin?.end(Uint8Array.from([0xff, 0xfe]));
    assert.equal(await broken.ended, 2);
    assert.equal(broken.err(), "hivepost: standard input is not UTF-8 text; nothing was sent\n");
  });
});
