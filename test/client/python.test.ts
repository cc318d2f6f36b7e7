import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { before, describe, it } from "node:test";
import type { AgentId } from "../../src/contract/messages.ts";
import { authority_file, testCertificate } from "../support/certificates.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { type Hive, limitedToken, operatorCall, startHive, token } from "./hive.ts";
import { startWire } from "./wire.ts";

const scenarios = path.join(import.meta.dirname, "hivepost_scenarios.py");
const module_file = path.join(import.meta.dirname, "../../python/hivepost.py");
const hasPython = spawnSync("python3", ["--version"]).status === 0;

type Options = {
  readonly url: string;
  readonly environment?: Record<string, string>;
  /** What the scenario asks the test to do. */
  readonly onWord?: (word: string) => Promise<void>;
};

/** Runs one scenario of hivepost_scenarios.py in a Python of its own, and fails with its traceback. */
async function run(scenario: string, { url, environment, onWord }: Options): Promise<void> {
  const env = { PATH: process.env["PATH"], PYTHONDONTWRITEBYTECODE: "1", HIVEPOST_URL: url };
  const python = spawn("python3", ["-W", "error", scenarios, scenario], {
    env: { ...env, ...(environment ?? { HIVEPOST_TOKEN: token }) },
  });
  let errors = "";
  let last = "";
  python.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  createInterface({ input: python.stdout }).on("line", async (word) => {
    last = word;
    if (word === "passed") return;
    await onWord?.(word);
    python.stdin.write("done\n");
  });
  const [code] = await once(python, "close");
  assert.deepEqual([code, last, errors], [0, "passed", ""]);
}

const deliveriesOf = async ({ mailroom }: Hive, participant: string) => {
  const { messages } = await mailroom.searchMessages({ participant: participant as AgentId }, operatorCall);
  const traced = await Promise.all(messages.map(({ id }) => mailroom.getMessage({ message_id: id }, operatorCall)));
  return traced.flatMap((it) => it.deliveries);
};

describe("hivepost.py", {
  skip: hasPython || process.env["CI"] === "true" ? false : "python3 is not installed",
}, () => {
  before(() => {
    assert.ok(hasPython, "python3 is needed to test python/hivepost.py; install it (apt-get install python3)");
  });

  for (const [scenario, sentence] of [
    ["ids", "makes UUIDv7s that sort by time"],
    ["everyday", "sends, receives, acknowledges and remembers"],
    ["errors", "raises what went wrong, with its code"],
    ["waiting", "waits for a message, and no longer than it is told"],
    ["a_whole_fleet", "serves many agents of one program at once"],
    ["a_message_that_comes_again", "hands nothing out twice, and knows what was acknowledged too late"],
    ["a_receiver_that_is_cancelled", "leaves the mail to others when its caller is cancelled"],
    ["a_receiver_that_closes", "gives back what was not acknowledged when it is closed"],
    ["a_message_held_for_too_long", "does not hold a message for ever"],
  ] as const) {
    it(sentence, async () => {
      await using hive = await startHive();
      await run(scenario, { url: hive.url });
    });
  }

  it("renews its leases while the program is busy", async () => {
    await using hive = await startHive();

    await run("a_long_task", { url: hive.url });

    const [delivery] = await deliveriesOf(hive, "bob");
    assert.deepEqual([delivery?.state, delivery?.attempt], ["acknowledged", 1]);
  });

  it("waits for a server that is away, and sends once", async () => {
    await using hive = await startHive();

    await run("a_server_that_is_away", {
      url: hive.url,
      onWord: (word) => (word === "stop" ? hive.stop() : hive.start()),
    });

    assert.equal((await deliveriesOf(hive, "bob")).length, 1);
  });

  it("sends each message once, though its connections break", async () => {
    await using hive = await startHive();
    await using wire = await startWire(hive.port);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flap = () => {
      wire.cut();
      timer = setTimeout(flap, 5 + Math.random() * 60);
    };

    await run("a_wire_that_is_cut", {
      url: wire.url,
      async onWord(word) {
        if (word === "flap") flap();
        else clearTimeout(timer);
      },
    });

    assert.ok(wire.connections > 3, "the wire was cut while it was in use");
  });

  it("waits and tries again where it sends faster than it may", async () => {
    await using hive = await startHive({ sends_per_second: 20, sends_burst: 5 });
    for (const agent_id of ["ada", "bob"])
      await hive.mailroom.registerAgent({ agent_id: agent_id as AgentId }, operatorCall);
    const environment = { HIVEPOST_TOKEN: limitedToken };

    await run("a_sender_in_a_hurry", { url: hive.url, environment });

    assert.equal((await deliveriesOf(hive, "bob")).length, 20);
  });

  it("finds its token in a file", async () => {
    await using hive = await startHive();
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "token");
    await writeFile(file, `${token}\n`);

    await run("settings", {
      url: hive.url,
      environment: { HIVEPOST_TOKEN_FILE: file, HIVEPOST_DATA_DIR: folder.path },
    });
  });

  it("speaks TLS with a server whose authority it is told, and with no other", async () => {
    await using hive = await startHive({}, testCertificate());
    const url = hive.url.replace("https", "wss");
    const environment = { HIVEPOST_TOKEN: token, HIVEPOST_CA_FILE: authority_file };
    await run("everyday", { url, environment });
    await run("an_authority_that_is_not_known", { url: hive.url, environment: { HIVEPOST_TOKEN: token } });

    await using stranger = await startHive({}, testCertificate("elsewhere"));
    await run("an_authority_that_is_not_known", { url: stranger.url, environment });
  });

  it("is written for Python 3.8 and needs nothing but its standard library", () => {
    const check = `
import ast, sys
tree = ast.parse(open(sys.argv[1]).read(), feature_version=(3, 8))
names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
print(sorted({it.split(".")[0] for it in names} - set(sys.stdlib_module_names)))`;
    const { stdout, stderr } = spawnSync("python3", ["-c", check, module_file], { encoding: "utf8" });

    assert.deepEqual([stdout, stderr], ["[]\n", ""]);
    assert.doesNotMatch(
      readFileSync(module_file, "utf8"),
      /asyncio\.(to_thread|timeout|TaskGroup)|removeprefix|\bmatch /,
    );
  });
});
