import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../client/client.ts";
import { BusError } from "../contract/errors.ts";
import { jsonLine } from "../core/rendering/visible.ts";
import { countOf, UsageError } from "./arguments.ts";
import { findServer, openClient, serverFlags } from "./call.ts";
import type { Command, Run } from "./command.ts";
import type { ExitCode } from "./failure.ts";
import { programName } from "./program-name.ts";
import type { Screen } from "./terminal.ts";
import { createInboxWatch, type InboxWatch } from "./top-inboxes.ts";
import { type HealthDetail, type Snapshot, screenOf } from "./top-screen.ts";

const default_every_s = 2;
/** Between the two looks that a single snapshot's rates come from. */
const rate_ms = 1_000;

/** A server that is away so long is shown to be so. */
const away_ms = 2_000;

const clear = "\u001b[H\u001b[J";
const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";

export const topCommand: Command = {
  name: "top",
  summary: "Watch the hive: what waits by priority, throughput, and each agent's inbox and health.",
  usage: "",
  flags: [
    { name: "once", takes: "switch", help: "One snapshot (as where the output is no terminal)" },
    {
      name: "every",
      takes: "value",
      placeholder: "SECONDS",
      help: `Seconds between looks (default ${default_every_s})`,
    },
    ...serverFlags,
  ],
  examples: [
    ["top", "until Ctrl-C"],
    ["top --once", "for a script or a mail"],
  ],
  about: "Agents with the most waiting mail stand first. In a large fleet the inboxes are read in turns.",
  run: async (run) => {
    const [extra] = run.given.words;
    if (extra) throw new UsageError("top takes flags only, e.g. hivepost top --once");
    const every_s = countOf(run.given, "every", { minimum: 1, maximum: 3_600 }) ?? default_every_s;
    await using client = await openClient(run, { connect_timeout_ms: away_ms });
    const { url } = await findServer(run.given, run.terminal);
    const live = run.terminal.stdout.isTTY && !run.given.flags.has("once") && !run.json;
    return live ? await watch(client, { url, every_s }, run) : await lookOnce(client, url, run);
  },
};

async function lookOnce(client: Client, url: string, { terminal, json, signal }: Run): Promise<ExitCode> {
  const inboxes = createInboxWatch(client, Number.POSITIVE_INFINITY);
  const before = await look(client, inboxes, undefined);
  await sleep(json ? 0 : rate_ms, undefined, { signal });
  const now = json ? before : await look(client, inboxes, before);
  const { stdout } = terminal;
  if (json) stdout.write(`${jsonLine({ health: now.health, agents: now.agents })}\n`);
  else
    stdout.write(
      screenOf(now, {
        url,
        columns: stdout.isTTY ? stdout.columns : Number.POSITIVE_INFINITY,
        rows: Number.POSITIVE_INFINITY,
      }),
    );
  return 0;
}

/** Agents whose inboxes are read at each look: more would be work for the server that nobody can read. */
const inboxes_per_look = 200;

async function watch(client: Client, { url, every_s }: { url: string; every_s: number }, run: Run): Promise<ExitCode> {
  const { terminal, signal } = run;
  const inboxes = createInboxWatch(client, inboxes_per_look);
  let before: Snapshot | undefined;
  terminal.stdout.write(hideCursor);
  try {
    while (!signal.aborted) {
      before = await look(client, inboxes, before).catch(undefinedIfAway);
      if (before) draw(terminal.stdout, before, url);
      else terminal.stdout.write(`${clear}${url} does not answer; trying again\n`);
      await sleep(every_s * 1_000, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    terminal.stdout.write(showCursor);
  }
  return 0;
}

function undefinedIfAway(error: unknown): undefined {
  if (!(error instanceof BusError) || error.code !== "unreachable") throw error;
}

function draw(stdout: Screen, snapshot: Snapshot, url: string): void {
  stdout.write(clear + screenOf(snapshot, { url, columns: stdout.columns, rows: stdout.rows - 1 }));
}

async function look(client: Client, inboxes: InboxWatch, before: Snapshot | undefined): Promise<Snapshot> {
  return lookAtAll(client, inboxes, before).catch(explainForbidden);
}

function explainForbidden(error: unknown): never {
  if (!(error instanceof BusError) || error.code !== "forbidden") throw error;
  throw new BusError(
    "forbidden",
    `top shows everybody's inbox, so it takes a token with the scope observe, operate or admin, and this one is an agent's own; what waits for that agent shows: ${programName} inbox AGENT`,
    { cause: error },
  );
}

async function lookAtAll(client: Client, inboxes: InboxWatch, before: Snapshot | undefined): Promise<Snapshot> {
  const [health, { agents }] = await Promise.all([client.health({}), client.listAgents({})]);
  return {
    at_ms: performance.now(),
    // With a token the server tells in detail; a store may leave fields out.
    health: health as HealthDetail,
    agents: await inboxes.read(agents),
    before: before && { at_ms: before.at_ms, counts: before.health.store?.counts ?? {} },
  };
}
