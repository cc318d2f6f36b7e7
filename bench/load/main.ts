import { parseArgs } from "node:util";
import { runClosedLoop } from "./closed-loop.ts";
import { runFlood } from "./flooder.ts";
import { runHistory } from "./history.ts";
import { runOpenLoop } from "./open-loop.ts";
import { runRest } from "./rest.ts";

/*
 * The load generator, a process of its own: `node bench/load/main.ts MODE --url … --token … --server-pid …` puts load on
 * a server that runs, and prints what it saw as one line of JSON.
 */

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: "string", default: "http://127.0.0.1:4483" },
    token: { type: "string", default: "" },
    "server-pid": { type: "string", default: "0" },
    agents: { type: "string", default: "50" },
    connections: { type: "string", default: "50" },
    "in-flight": { type: "string", default: "256" },
    "per-second": { type: "string", default: "1000" },
    "content-bytes": { type: "string", default: "1024" },
    "warmup-s": { type: "string", default: "3" },
    seconds: { type: "string", default: "10" },
    history: { type: "string", default: "1000000" },
  },
});

const load = {
  url: values.url,
  token: values.token,
  server_pid: Number(values["server-pid"]),
  agents: Number(values.agents),
  connections: Number(values.connections),
  in_flight: Number(values["in-flight"]),
  per_second: Number(values["per-second"]),
  content_bytes: Number(values["content-bytes"]),
  warmup_s: Number(values["warmup-s"]),
  seconds: Number(values.seconds),
};

const modes: Readonly<Record<string, () => Promise<unknown>>> = {
  send: () => runClosedLoop({ ...load, until: "answered" }),
  "end-to-end": () => runClosedLoop({ ...load, until: "acknowledged" }),
  rest: () => runRest(load),
  fleet: () => runOpenLoop({ ...load, until: "acknowledged" }, async () => undefined),
  flood: () => runFlood(load),
  history: () => runHistory({ ...load, messages: Number(values.history) }),
};

const run = modes[positionals[0] ?? ""];
if (!run) throw new Error(`name a mode: ${Object.keys(modes).join(", ")}`);
process.stdout.write(`${JSON.stringify(await run())}\n`);
