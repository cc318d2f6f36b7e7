import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { parseArguments } from "../../src/cli/arguments.ts";
import { commandOfOperation } from "../../src/cli/commands.ts";
import { flagsOf, inputOf, usageOf } from "../../src/cli/fields.ts";
import { operations } from "../../src/contract/operations.ts";
import { type OperationName, operationNames } from "../../src/contract/routes.ts";
import { monday_ms, temporaryFolder } from "../support/fixtures.ts";

const around = { now: () => monday_ms, readStdin: async () => "from stdin\n" };

/** What an operation is asked when this is typed after its command. */
async function input(operation: OperationName, ...argv: string[]): Promise<unknown> {
  const command = commandOfOperation[operation];
  return await inputOf(operation, command, parseArguments(argv, flagsOf(operation, command)), around);
}

describe("send", () => {
  it("takes the recipient and the text as words", async () => {
    assert.deepEqual(await input("sendMessage", "bob", "hello", "there", "--from", "ada"), {
      to_agent: "bob",
      content: "hello there",
      from_agent: "ada",
    });
  });

  it("takes every field as a flag", async () => {
    const argv = ["--to-agent", "bob", "--content=-n", "--priority", "urgent", "--type", "question", "--when", "tool"];
    assert.deepEqual(await input("sendMessage", ...argv, "--offline", "fail", "--idempotency-key", "k"), {
      to_agent: "bob",
      content: "-n",
      priority: "urgent",
      message_type: "question",
      when: "tool",
      offline: "fail",
      idempotency_key: "k",
    });
  });

  for (const [typed, to] of [
    ["group:reviewers", { group: "reviewers" }],
    ["capability:typescript", { capability: "typescript" }],
    ["broadcast", { broadcast: true }],
    ['{"group": "x"}', { group: "x" }],
  ] as const) {
    it(`understands ${typed} as a recipient`, async () => {
      assert.deepEqual(await input("sendMessage", typed, "hi"), { to, content: "hi" });
    });
  }

  it("confirms a broadcast when told to", async () => {
    const to = { broadcast: true, confirm: true };
    assert.deepEqual(await input("sendMessage", "broadcast", "hi", "--confirm"), { to, content: "hi" });
    assert.deepEqual(await input("sendMessage", "bob", "hi", "--confirm"), { to_agent: "bob", content: "hi" });
  });

  it("reads the text from standard input for a lone -, which after -- is text", async () => {
    assert.deepEqual(await input("sendMessage", "bob", "-"), { to_agent: "bob", content: "from stdin\n" });
    assert.deepEqual(await input("sendMessage", "bob", "--", "-"), { to_agent: "bob", content: "-" });
    assert.deepEqual(await input("sendMessage", "bob", "a", "-"), { to_agent: "bob", content: "a -" });
  });

  it("sends words that look like flags or like shell", async () => {
    assert.deepEqual(await input("sendMessage", "bob", "--", "-n", ";", "rm -rf", "--json"), {
      to_agent: "bob",
      content: "-n ; rm -rf --json",
    });
  });

  it("understands times from now on, and metadata as JSON", async () => {
    const argv = ["bob", "x", "--deliver-at", "10m", "--expires-at", "2026-01-06", "--metadata", '{"a": [1]}'];
    assert.deepEqual(await input("sendMessage", ...argv), {
      to_agent: "bob",
      content: "x",
      deliver_at: "2026-01-05T09:10:00.000Z",
      expires_at: "2026-01-06T00:00:00.000Z",
      metadata: { a: [1] },
    });
  });
});

describe("other commands", () => {
  it("understand durations", async () => {
    const fields = { agent_id: "bob", limit: 5, wait_ms: 30_000, lease_ms: 300_000 };
    assert.deepEqual(await input("claimMessages", "bob", "--limit", "5", "--wait", "30s", "--lease-ms", "5m"), fields);
    assert.deepEqual(await input("extendLease", "m", "l", "1500"), { message_id: "m", lease_id: "l", lease_ms: 1_500 });
    assert.deepEqual(await input("rejectMessage", "m", "l", "no", "access", "--delay", "1.5s"), {
      message_id: "m",
      lease_id: "l",
      reason: "no access",
      delay_ms: 1_500,
    });
  });

  it("understand capabilities and lists", async () => {
    assert.deepEqual(await input("registerAgent", "bob", "--can", "ts:8,review", "--can", "go", "--group", "a,b"), {
      agent_id: "bob",
      capabilities: [{ name: "ts", level: 8 }, { name: "review" }, { name: "go" }],
      groups: ["a", "b"],
    });
    assert.deepEqual(await input("registerAgent", "bob", "--capabilities", '[{"name": "x"}]'), {
      agent_id: "bob",
      capabilities: [{ name: "x" }],
    });
    assert.deepEqual(await input("createConversation", "ada", "bob"), { participants: ["ada", "bob"] });
    assert.deepEqual(await input("heartbeat", "bob", "--load", "0.5", "--status", "busy"), {
      agent_id: "bob",
      load: 0.5,
      status: "busy",
    });
  });

  it("search by words, back in time and by metadata", async () => {
    assert.deepEqual(await input("searchMessages", "login", "page", "--since", "2h", "--metadata.ticket", "42"), {
      q: "login page",
      since: "2026-01-05T07:00:00.000Z",
      "metadata.ticket": "42",
    });
    assert.deepEqual(await input("searchMessages"), {});
  });

  it("read JSON from a file", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "batch.json");
    await writeFile(file, '[{"to_agent": "bob", "content": "x"}]');
    assert.deepEqual(await input("sendMessages", `@${file}`), { messages: [{ to_agent: "bob", content: "x" }] });
  });

  it("redrive nothing by accident", async () => {
    await assert.rejects(input("redriveDeadLetters"), /redrive wants message ids, --agent NAME, or --all/);
    assert.deepEqual(await input("redriveDeadLetters", "--all"), {});
    assert.deepEqual(await input("redriveDeadLetters", "a", "b"), { message_ids: ["a", "b"] });
  });
});

describe("wrong usage", () => {
  for (const [operation, argv, message] of [
    ["sendMessage", [], /send needs a recipient/],
    ["sendMessage", ["bob"], /send needs the content, as a word or with --content/],
    ["sendMessage", ["bob", "x", "--priority", "urgnt"], /--priority is one of urgent, .* \(did you mean urgent\?\)/],
    ["sendMessage", ["bob", "x", "--metadata", "{a}"], /--metadata wants JSON/],
    ["sendMessage", ["bob", "x", "--metadata", "@/nowhere"], /cannot read \/nowhere/],
    ["sendMessage", ["bob", "x", "--deliver-at", "soon"], /--deliver-at wants a time/],
    ["sendMessage", ["bob", "x", "--deliver-at", "9999999d"], /--deliver-at wants a time/],
    ["sendMessage", ["{x", "y"], /the to wants JSON/],
    ["sendMessage", ["bob", "x", "--from", "a", "--from-agent", "b"], /--from and --from-agent are the same; give one/],
    ["claimMessages", ["bob", "--limit", "0"], /--limit wants a whole number from 1 to 1000/],
    ["claimMessages", ["bob", "--limit", "1.5"], /--limit wants a whole number/],
    ["claimMessages", ["bob", "--wait", "1w"], /--wait wants a duration/],
    ["claimMessages", ["bob", "cleo"], /claim does not know what to do with "cleo"/],
    ["heartbeat", ["bob", "--load", "much"], /--load wants a number, not "much"/],
    ["acknowledgeMessage", ["m"], /ack needs the lease id, as a word or with --lease-id/],
    ["getMessage", [], /show needs the message id/],
    ["sendMessages", ["-"], /the messages from standard input wants JSON/],
  ] as const) {
    it(`is told of ${[commandOfOperation[operation].name, ...argv].join(" ")}`, async () => {
      await assert.rejects(input(operation, ...argv), (error: Error) => {
        assert.equal(error.name, "UsageError");
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

describe("the table of commands", () => {
  it("gives every field of every operation a flag of its own", () => {
    for (const operation of operationNames) {
      const flags = flagsOf(operation, commandOfOperation[operation]).map((it) => it.name);
      const fields = Object.keys((operations[operation].input as { properties?: object }).properties ?? {});
      const missing = fields.filter((field) => !flags.includes(field.replaceAll("_", "-")));
      assert.deepEqual([operation, missing, flags.length], [operation, [], new Set(flags).size]);
    }
  });

  it("uses no name twice", () => {
    const names = Object.values(commandOfOperation).flatMap(({ name, also = [] }) => [name, ...also]);
    assert.deepEqual(names.length, new Set(names).size);
  });

  it("shows which words are needed", () => {
    assert.equal(usageOf("rejectMessage", commandOfOperation.rejectMessage), "<message-id> <lease-id> [reason...]");
    assert.equal(usageOf("sendMessage", commandOfOperation.sendMessage), "<to> <content...>");
  });
});
