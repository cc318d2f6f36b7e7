import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "../../src/base/random.ts";
import { eventually } from "../support/eventually.ts";
import { ada, bob, type TemporaryFolder, temporaryFolder } from "../support/fixtures.ts";
import { type HiveProcess, startHive } from "../support/hive-process.ts";
import { frame, openRaw, openRawStream, type RawSocket, requestHead } from "./raw.ts";
import { ask, tell } from "./rest.ts";

/** What an honest client waits for at most while others misbehave, on a machine that has much else to do. */
const patience_ms = 5_000;

type Probe = { stop(): Promise<{ readonly probes: number; readonly worst_ms: number }> };

/** An honest client that asks for the server's health and sends a message, over and over. */
function startProbe(hive: HiveProcess): Probe {
  let stopped = false;
  const measured = { probes: 0, worst_ms: 0 };
  const probe = async () => {
    while (!stopped) {
      const started_ms = performance.now();
      const health = await ask(hive, "health", {});
      const sent = await ask(hive, "sendMessage", { from_agent: ada, to_agent: bob, content: "all is well" });
      assert.deepEqual([health.status, sent.status], [200, 201]);
      measured.probes += 1;
      measured.worst_ms = Math.max(measured.worst_ms, performance.now() - started_ms);
      await delay(20);
    }
  };
  const running = probe();
  return {
    async stop() {
      stopped = true;
      await running;
      return measured;
    },
  };
}

describe("a server under siege", () => {
  let folder: TemporaryFolder;
  let hive: HiveProcess;

  before(async () => {
    folder = await temporaryFolder();
    hive = await startHive(folder.path, { environment: { HIVEPOST_INBOX_DEPTH: "1000000" } });
    for (const agent_id of [ada, bob]) await tell(hive, "registerAgent", { agent_id });
  });

  after(async () => {
    await hive?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  /** Does something nasty while an honest client goes about its business, which must not notice. */
  async function whileHonestClientsAreServed(nasty: () => Promise<void>): Promise<void> {
    const probe = startProbe(hive);
    await nasty().finally(probe.stop);
    const { probes, worst_ms } = await probe.stop();
    assert.ok(probes > 0, "no probe came through");
    assert.ok(worst_ms < patience_ms, `an honest client waited ${Math.round(worst_ms)} ms`);
    assert.doesNotMatch(hive.errors(), /"level":(50|60)|internal error|at .*\.ts:/);
  }

  it("answers every wrong body with a clear error", async () => {
    const bodies: readonly (string | Uint8Array)[] = [
      "{",
      "null",
      "[]",
      '{"to_agent":"bob","content":1}',
      '{"to_agent":"bob","content":"x","colour":"red"}',
      '{"to_agent":"bob","content":"x","__proto__":{"admin":true}}',
      '{"to_agent":"bob","content":"\\ud800"}',
      `{"to_agent":"bob","content":"x","metadata":${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}}`,
      "[".repeat(100_000),
      `{"to_agent":"${"b".repeat(10_000)}","content":"x"}`,
      Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
      '{"to_agent":"bob","content":"x","priority":"urgentest"}',
      '{"to_agent":"bob","content":"x","deliver_at":"yesterday"}',
    ];
    await whileHonestClientsAreServed(async () => {
      for (const body of bodies) {
        const answer = await fetch(`${hive.url}/messages`, {
          method: "POST",
          headers: { authorization: `Bearer ${hive.token}`, "content-type": "application/json" },
          body,
        });
        const problem = (await answer.json()) as { code: string; detail: string };
        assert.deepEqual([answer.status, problem.code], [400, "invalid_input"], String(body).slice(0, 80));
        assert.ok(problem.detail.length > 10, JSON.stringify(problem));
      }
    });
  });

  it("does not read bodies of 10 MB, whether their length is told or not", async () => {
    const huge = "x".repeat(10 * 1_024 * 1_024);
    await whileHonestClientsAreServed(async () => {
      for (const length of [`Content-Length: ${huge.length}`, "Transfer-Encoding: chunked"]) {
        using raw = await openRaw(hive);
        raw.write(requestHead(hive, "POST", "/messages", ["Content-Type: application/json", length]));
        raw.write(length.startsWith("Content") ? huge : `${huge.length.toString(16)}\r\n${huge}`);
        await eventually("it says that this is too much", () => /^HTTP\/1\.1 413 /.test(raw.received()), 20_000);
        assert.match(raw.received(), /"code":"body_too_large"/);
      }
    });
  });

  it("bears thousands of half-open sockets and headers that come drop by drop", async () => {
    const many = Math.min(Number(process.env["HIVEPOST_HALF_OPEN"] ?? 4_000), Math.floor(0.4 * descriptorLimit()));
    const sockets: RawSocket[] = [];
    try {
      await whileHonestClientsAreServed(async () => {
        for (let i = 0; i < many; i += 200) {
          const some = await Promise.all(Array.from({ length: Math.min(200, many - i) }, () => openRaw(hive)));
          for (const raw of some) raw.write(i % 400 === 0 ? "" : "POST /messages HTTP/1.1\r\nHost: loc");
          sockets.push(...some);
        }
        for (let drop = 0; drop < 10; drop++) {
          for (const raw of sockets.slice(-500)) raw.write("a");
          await delay(100);
        }
      });
    } finally {
      for (const raw of sockets) raw[Symbol.dispose]();
    }
    assert.equal(sockets.length, many);
  });

  it("ends connections that speak no HTTP", async () => {
    const random = seededRandom(7);
    await whileHonestClientsAreServed(async () => {
      for (let round = 0; round < 30; round++) {
        using raw = await openRaw(hive);
        raw.write(Buffer.from(Array.from({ length: 2_000 }, () => Math.floor(random() * 256))));
        raw.write("\r\n\r\n\r\n\r\n");
        const said = await raw.closed;
        assert.match(said, /^$|^HTTP\/1\.1 4\d\d /);
      }
    });
  });

  const abuses: Readonly<Record<string, (raw: RawSocket) => void>> = {
    "binary frames": (raw) => raw.write(frame("{}", { opcode: 2 })),
    "unmasked frames": (raw) => raw.write(frame("{}", { masked: false })),
    "frames with unknown opcodes": (raw) => raw.write(frame("{}", { opcode: 7 })),
    "text that is no UTF-8": (raw) => raw.write(frame(Buffer.from([0xff, 0xfe, 0xfd]))),
    "control frames in fragments": (raw) => raw.write(frame("ping", { opcode: 9, fin: false })),
    "a frame that claims to be endless": (raw) => {
      raw.write(Buffer.from([0x81, 0xff, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]));
    },
    "a message in endless fragments": (raw) => {
      raw.write(frame("x".repeat(60_000), { fin: false }));
      for (let i = 0; i < 400; i++) raw.write(frame("x".repeat(60_000), { opcode: 0, fin: false }));
    },
    "text that is no JSON": (raw) => raw.write(frame("hello?")),
  };
  for (const [what, abuse] of Object.entries(abuses)) {
    it(`ends a stream that sends ${what}`, async () => {
      await whileHonestClientsAreServed(async () => {
        using raw = await openRawStream(hive);
        abuse(raw);
        await raw.closed;
      });
    });
  }

  it("does not mind clients that vanish in the middle of a frame, and gives their leases to others at once", async () => {
    const { id } = await tell(hive, "sendMessage", { from_agent: bob, to_agent: ada, content: "who takes this?" });
    await whileHonestClientsAreServed(async () => {
      for (let round = 0; round < 20; round++) {
        using raw = await openRawStream(hive);
        const input = { agent_id: ada, credit: 10, lease_ms: 3_600_000 };
        raw.write(frame(JSON.stringify({ id: 1, op: "subscribe", input })));
        await eventually("it has the mail", () => raw.received().includes(id));
        raw.write(frame(JSON.stringify({ id: 2, op: "health", input: {} })).subarray(0, 9));
        raw[Symbol.dispose]();
        const state = await eventually("the lease is given back", async () => {
          const [delivery] = (await tell(hive, "getMessage", { message_id: id })).deliveries;
          return delivery?.state !== "leased" && delivery?.state;
        });
        // Its attempts are used up now and then.
        const back = state === "dead" ? await tell(hive, "redriveDeadLetters", { message_ids: [id] }) : undefined;
        if (back) assert.equal(back.redriven, 1);
      }
    });
    const { deliveries } = await tell(hive, "claimMessages", { agent_id: ada, wait_ms: 10_000 });
    assert.equal(deliveries[0]?.message.id, id);
  });

  it("has kept everything that honest clients sent, and its memory within bounds", async () => {
    const inbox = await tell(hive, "getInbox", { agent_id: bob });
    assert.ok(inbox.total > 50, `only ${inbox.total} probes arrived`);
    const resident_mib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${hive.pid}/status`, "utf8"))?.[1]) / 1_024;
    assert.ok(resident_mib < 600, `${Math.round(resident_mib)} MiB`);
  });
});

function descriptorLimit(): number {
  const limit = spawnSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }).stdout.trim();
  return limit === "unlimited" ? 100_000 : Number(limit);
}
