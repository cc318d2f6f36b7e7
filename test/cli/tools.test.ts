import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { main } from "../../src/cli/main.ts";
import { serve } from "../../src/serve.ts";
import { configurationFolder } from "../support/configuration.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { fakeTerminal, run } from "./fake-terminal.ts";
import { openTestHive, type TestHive } from "./test-hive.ts";

let hive: TestHive;

before(async () => {
  hive = await openTestHive();
});

after(() => hive[Symbol.asyncDispose]());

describe("help", () => {
  it("shows every command, once, with its first steps", async () => {
    const { code, out } = await run([]);
    assert.equal(code, 0);
    assert.match(out, /First steps:\n.*hivepost serve/);
    for (const name of [
      "send",
      "claim",
      "ack",
      "serve",
      "tail",
      "why",
      "top",
      "backup",
      "restore",
      "replay",
      "doctor",
      "mcp",
      "call",
    ]) {
      assert.equal(out.match(new RegExp(`^ {2}${name} +[A-Z]`, "gm"))?.length, 1, name);
    }
    assert.deepEqual(await run(["--help"]), await run(["help"]));
  });

  it("shows each command's flags and examples, and every command is in the overview", async () => {
    const overview = (await run(["help"])).out;
    const names = [...overview.matchAll(/^ {2}([a-z-]+) +[A-Z]/gm)].map(([, name = ""]) => name);
    assert.ok(names.length > 35, String(names.length));
    for (const name of names) {
      const { code, out } = await run(["help", name]);
      assert.equal(code, 0);
      assert.match(out, new RegExp(`Usage: hivepost ${name}[^]*Examples:\n[^]*--json`), name);
      assert.equal((await run([name, "--help"])).out, out);
    }
  });

  it("says where flags belong", async () => {
    const { code, err } = await run(["--json", "agents"]);
    assert.equal(code, 2);
    assert.match(err, /^hivepost: flags come after the command, as in: .*hivepost agents --json/);
  });

  it("is near where a command is mistyped", async () => {
    const { code, err } = await run(["sned", "bob"]);
    assert.equal(code, 2);
    assert.match(err, /^hivepost: there is no command "sned" \(did you mean send\?\)/);
  });
});

describe("config", () => {
  it("tells every setting, its value and where it came from", async () => {
    await using other = await temporaryFolder();
    const config = path.join(other.path, "hive.json");
    await writeFile(config, '{"lease_ms": 7000, "retry": {"task": {"max_attempts": 9}}}');
    const environment = { HIVEPOST_INBOX_DEPTH: "77", HIVEPOST_INBX_DEPTH: "1" };
    const { code, out, err } = await run(["config", "--port", "5000", "--config", config, "--json"], { environment });
    const settings = JSON.parse(out);
    assert.equal(code, 0);
    assert.deepEqual(
      [settings.port, settings.inbox_depth, settings.lease_ms, settings.host].map((it) => [it.value, it.origin]),
      [
        [5000, "--port"],
        [77, "HIVEPOST_INBOX_DEPTH"],
        [7000, `lease_ms in ${config}`],
        ["127.0.0.1", "default"],
      ],
    );
    assert.match(err, /HIVEPOST_INBX_DEPTH, which means nothing; did you mean HIVEPOST_INBOX_DEPTH\?/);
    assert.match(
      (await run(["config"], { environment: { XDG_CONFIG_HOME: configurationFolder } })).out,
      /^setting +value +from +what it is\nhost +127\.0\.0\.1 +default/,
    );
  });

  it("refuses a setting out of bounds, naming where it came from", async () => {
    const { code, err } = await run(["config"], { environment: { HIVEPOST_PORT: "99999" } });
    assert.equal(code, 1);
    assert.match(err, /HIVEPOST_PORT: expected a whole number from 0 to 65535, got "99999"/);
  });
});

describe("top", () => {
  it("shows what waits, the rates and each agent", async () => {
    await hive.hivepost("register", "top-bob");
    await hive.hivepost("send", "top-bob", "x", "--priority", "urgent");
    await hive.matches(
      ["top", "--once"],
      /: ok, up .*\nwaiting +urgent \d+ [\s\S]*\nper second +accepted \d[\s\S]*\ntop-bob +alive +available +1 /,
    );
    const { agents } = (await hive.json("top")) as unknown as { agents: { agent: { agent_id: string } }[] };
    assert.ok(agents.some((it) => it.agent.agent_id === "top-bob"));
    assert.equal((await hive.hivepost("top", "now")).code, 2);
  });

  it("says to an agent's own token which scope it takes", async () => {
    for (const agent of ["top-ada", "top-bob"]) await hive.hivepost("register", agent);
    const { token = "" }: Record<string, string> = await hive.json("token", "create", "top-ada");
    const environment = { ...hive.environment, HIVEPOST_TOKEN: token };
    const { code, out, err } = await run(["top", "--once"], { environment });
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, /takes a token with the scope observe, operate or admin.*hivepost inbox AGENT/);
  });

  it("redraws on a terminal until it is stopped", async () => {
    const terminal = fakeTerminal({ environment: hive.environment, isTTY: true });
    const shown = main(["top", "--every", "1"], terminal);
    await eventually("the screen is drawn twice", () => terminal.out().split("\u001b[H\u001b[J").length > 2);
    process.emit("SIGINT", "SIGINT");
    assert.equal(await shown, 0);
    assert.match(terminal.out(), /per second {2}accepted [0-9]/);
    assert.ok(terminal.out().endsWith("\u001b[?25h"));
  });
});

describe("top without a server", () => {
  it("says so, and goes on when there is one again", async () => {
    await using folder = await temporaryFolder();
    const start = (port: string) =>
      serve({
        flags: { port, data_dir: folder.path, log_level: "silent", stop_ms: "0" },
        environment: { XDG_CONFIG_HOME: configurationFolder },
      });
    const first = await start("0");
    const terminal = fakeTerminal({
      environment: { HIVEPOST_URL: first.url, HIVEPOST_DATA_DIR: folder.path },
      isTTY: true,
    });
    const drawn = () => terminal.out().split("\u001b[H\u001b[J");
    const shown = main(["top", "--every", "1"], terminal);
    await eventually("the screen is drawn", () => drawn().at(-1)?.includes("accepted"));
    await first[Symbol.asyncDispose]();
    await eventually("the server is missed", () => drawn().at(-1)?.includes("does not answer; trying again"));
    await using _second = await start(new URL(first.url).port);
    await eventually("the screen is drawn again", () => drawn().at(-1)?.includes("accepted"));
    process.emit("SIGINT", "SIGINT");
    assert.equal(await shown, 0);
  });
});

describe("doctor", () => {
  it("finds nothing wrong with a hive at work", async () => {
    const { code, out } = await hive.hivepost("doctor");
    assert.equal(code, 0, out);
    assert.match(out, /ok +server +answers at [\s\S]*ok +token +accepted[\s\S]*nothing is wrong/);
  });

  it("says what is wrong and how to mend it", async () => {
    await using other = await temporaryFolder();
    await writeFile(path.join(other.path, "admin.token"), "nonsense");
    await chmod(other.path, 0o755);
    const { code, out } = await run(["doctor", "--data-dir", other.path, "--url", "http://127.0.0.1:4"], {
      environment: {},
    });
    assert.equal(code, 1);
    assert.match(out, /odd +folder .*open to others \(mode 755\).*\n.*→ chmod 700 /);
    assert.match(out, /BAD +admin token .*holds no token.*\n.*→ move it away/);
    assert.match(out, /BAD +server +no server answers at http:\/\/127\.0\.0\.1:4/);
  });

  it("knows whether a server could be started", async () => {
    await using other = await temporaryFolder();
    const port = new URL(hive.url).port;
    const busy = await run(["doctor", "--quick", "--json"], {
      environment: { HIVEPOST_DATA_DIR: path.join(other.path, "new"), HIVEPOST_PORT: "0" },
    });
    const { findings } = JSON.parse(busy.out);
    const verdicts = Object.fromEntries(
      findings.map((it: { check: string; verdict: string }) => [it.check, it.verdict]),
    );
    assert.deepEqual([verdicts["folder"], verdicts["server"], verdicts["port"]], ["odd", "odd", "right"]);
    assert.ok(port !== "0");
  });

  it("finds a setting that cannot be read", async () => {
    const { code, out } = await run(["doctor"], { environment: { HIVEPOST_PORT: "x" } });
    assert.equal(code, 1);
    assert.match(out, /BAD +settings .*HIVEPOST_PORT.*\n.*→ correct it/);
  });
});

describe("any command line", () => {
  it("ends with an exit code and at most one line of error, never a stack", async () => {
    const names =
      (await run(["help"])).out.match(/^ {2}([a-z-]+) +[A-Z]/gm)?.map((it) => it.trim().split(" ")[0] ?? "") ?? [];
    // These run until they are stopped, or speak another language on standard input.
    const quick = names.filter((it) => !["serve", "tail", "mcp"].includes(it));
    const word = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "--",
        "-",
        "--json",
        "--help",
        "--limit",
        "--metadata.x",
        "--content=-n",
        "{",
        "[]",
        "@",
        "@/",
        "bob",
        "\u001b[2J",
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(word, fc.constantFrom(...quick)),
        fc.array(word, { maxLength: 5 }),
        async (name, rest) => {
          const { code, err } = await run([name, ...rest, "--url=http://127.0.0.1:4"], {
            environment: { XDG_CONFIG_HOME: configurationFolder },
          });
          assert.ok([0, 1, 2, 3].includes(code));
          assert.ok(!err.includes("\n    at ") && !err.includes("\u001b"), err);
          assert.ok(code === 0 || err.startsWith("hivepost: ") || name === "doctor", `${code} ${err}`);
        },
      ),
      { numRuns: 150 },
    );
  });
});
