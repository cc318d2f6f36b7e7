import { createServer } from "node:net";
import { BusError } from "../contract/errors.ts";
import { ask, type ServerAddress } from "./call.ts";
import { describeFailure, NotReachable } from "./failure.ts";
import type { Finding } from "./finding.ts";

export type ServerExamination = {
  readonly server: ServerAddress;
  readonly host: string;
  readonly port: number;
  readonly folder: string;
  /** Whether the address was given, rather than that of a server started here. */
  readonly named: boolean;
  readonly signal: AbortSignal;
};

export type Examined = {
  readonly findings: readonly Finding[];
  readonly running: boolean;
  /** The server's wall clock, to the second. */
  readonly clock_ms: number | undefined;
};

export async function checkServer(examination: ServerExamination): Promise<Examined> {
  const { server, signal } = examination;
  try {
    const health = await ask({ ...server, token: undefined }, "health", {}, signal);
    const clock_ms = await clockOf(server, signal);
    const text = `answers at ${server.url}, status ${health.status}`;
    const mend = "see the server's log";
    const reached: Finding =
      health.status === "ok"
        ? { check: "server", verdict: "right", text }
        : { check: "server", verdict: "odd", text, mend };
    return { findings: [reached, await checkAcceptance(server, signal)], running: true, clock_ms };
  } catch (error) {
    if (!(error instanceof NotReachable)) throw error;
    return { findings: await whyNotReached(examination, error), running: false, clock_ms: undefined };
  }
}

async function checkAcceptance(server: ServerAddress, signal: AbortSignal): Promise<Finding> {
  const check = "token";
  try {
    await ask(server, "listConversations", { limit: 1 }, signal);
    return { check, verdict: "right", text: `accepted (from ${server.tokenOrigin})` };
  } catch (error) {
    const mend = "use the admin.token of the folder that the server works on: --data-dir or HIVEPOST_TOKEN_FILE";
    return { check, verdict: "wrong", text: describeFailure(error).message, mend };
  }
}

async function clockOf(server: ServerAddress, signal: AbortSignal): Promise<number | undefined> {
  const response = await fetch(`${server.url}/health`, { signal });
  await response.body?.cancel();
  const date = Date.parse(response.headers.get("date") ?? "");
  return Number.isNaN(date) ? undefined : date;
}

/** No server need be running: then the question is whether one could be started. */
async function whyNotReached(examination: ServerExamination, error: NotReachable): Promise<Finding[]> {
  const { server, host, port, folder, named } = examination;
  const mend = "start it, or correct --url or HIVEPOST_URL";
  if (named) return [{ check: "server", verdict: "wrong", text: error.message, mend }];
  const findings: Finding[] = [];
  const holder = await holderOf(folder);
  if (holder !== undefined) {
    const text = `${holder}, but not at ${server.url}`;
    findings.push({
      check: "server",
      verdict: "wrong",
      text,
      mend: "name its address with --url or HIVEPOST_URL, or stop it",
    });
  } else {
    findings.push({
      check: "server",
      verdict: "odd",
      text: `none runs at ${server.url}`,
      mend: "start one: hivepost serve",
    });
  }
  findings.push(await checkPort(host, port));
  return findings;
}

/** Who works on the folder, in words; undefined where nobody does. */
async function holderOf(folder: string): Promise<string | undefined> {
  const { requireUnused } = await import("../offline.ts");
  try {
    requireUnused(folder);
    return undefined;
  } catch (error) {
    if (error instanceof BusError && error.code === "data_dir_in_use") return error.message.split(";")[0];
    // A folder that is not there is nobody's; that it is not there is a finding of its own.
    return undefined;
  }
}

async function checkPort(host: string, port: number): Promise<Finding> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once("error", reject);
      probe.listen(port, host, resolve);
    });
    return { check: "port", verdict: "right", text: `${host}:${port} is free` };
  } catch (error) {
    const mend = "stop that program, or serve on another port: --port or HIVEPOST_PORT";
    return { check: "port", verdict: "wrong", text: describeFailure(error).message, mend };
  } finally {
    probe.close();
  }
}
