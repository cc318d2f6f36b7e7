import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import path from "node:path";
import { setDefaultCACertificates } from "node:tls";
import { explainTlsFailure, readAuthority } from "../client/authority-node.ts";
import type { Client } from "../client/client.ts";
import { type Config, loadConfig } from "../config.ts";
import { BusError, type ErrorCode } from "../contract/errors.ts";
import type { Input, Output } from "../contract/operations.ts";
import { fillRoute, type OperationName } from "../contract/routes.ts";
import { type Arguments, type Flag, flagValue, quoted, UsageError } from "./arguments.ts";
import type { Run } from "./command.ts";
import { NotReachable } from "./failure.ts";
import { programName } from "./program-name.ts";
import type { Terminal } from "./terminal.ts";

/** Flags of every command that talks to a server. */
export const serverFlags: readonly Flag[] = [
  {
    name: "url",
    takes: "value",
    placeholder: "URL",
    help: "The server (or HIVEPOST_URL; default http://127.0.0.1:4483)",
  },
  {
    name: "token-file",
    takes: "value",
    placeholder: "FILE",
    help: "A file that holds the token (or HIVEPOST_TOKEN, HIVEPOST_TOKEN_FILE, <data-dir>/admin.token)",
  },
  {
    name: "ca-file",
    takes: "value",
    placeholder: "FILE",
    help: "Certificate of the authority that signed the server's (or HIVEPOST_CA_FILE; default: the well-known ones)",
  },
  { name: "data-dir", takes: "value", placeholder: "FOLDER", help: "The hive's folder, for its admin.token" },
  { name: "config", takes: "value", placeholder: "FILE", help: "A config file other than ./hivepost.config.json" },
];

/** Where the server is, and what opens it. */
export type ServerAddress = {
  readonly url: string;
  readonly token: string | undefined;
  /** Where the token came from, or would have: for messages. */
  readonly tokenOrigin: string;
};

/** @throws UsageError for an address that is none. @throws BusError for a config file that cannot be used. */
export async function findServer(given: Arguments, { environment }: Terminal): Promise<ServerAddress> {
  const config = loadConfig(settingFlags(given, ["data-dir", "config"]), environment);
  const named = flagValue(given, "url") ?? environment["HIVEPOST_URL"] ?? configuredUrl(config, given, environment);
  const url = named.replace(/^ws(?=s?:)/, "http");
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new UsageError(`${quoted(url)} is no address of a server; it looks like http://127.0.0.1:4483`);
  }
  // For this whole process, which speaks with no other server; `fetch` takes no authorities of its own.
  const ca_file = flagValue(given, "ca-file") ?? environment["HIVEPOST_CA_FILE"];
  if (ca_file) setDefaultCACertificates([readAuthority(ca_file)]);
  return { url: url.replace(/\/+$/, ""), ...(await findToken(given, environment, config.data_dir)) };
}

/** Where a server with these settings listens. @throws UsageError where only a file that nobody named says so. */
function configuredUrl(
  { host, port, tls_cert }: Config,
  given: Arguments,
  environment: Terminal["environment"],
): string {
  const { HIVEPOST_CONFIG, HIVEPOST_HOST } = environment;
  const isNamed = (flagValue(given, "config") ?? HIVEPOST_CONFIG ?? HIVEPOST_HOST) !== undefined;
  const anywhere = host === "0.0.0.0" || host === "::";
  // The file lies in whatever folder somebody works in, perhaps with a repository that others wrote. It must not decide which machine is
  // shown their token.
  if (!isNamed && !anywhere && !isOwnMachine(host)) {
    throw new UsageError(
      `./hivepost.config.json names the server ${quoted(host)}, which is another machine; if you trust it with your token, ` +
        "say so with --config hivepost.config.json, --url or HIVEPOST_URL",
    );
  }
  const name = anywhere ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `${tls_cert === "" ? "http" : "https"}://${name}:${port}`;
}

function isOwnMachine(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** The named flags as settings: `data-dir` becomes `data_dir`, and a switch that is given is `true`. */
export function settingFlags(given: Arguments, names: readonly string[]): Record<string, string> {
  const present = names.flatMap((name) => {
    const value = flagValue(given, name) ?? (given.flags.has(name) ? "true" : undefined);
    return value === undefined ? [] : [[name.replaceAll("-", "_"), value] as const];
  });
  return Object.fromEntries(present);
}

type FoundToken = Pick<ServerAddress, "token" | "tokenOrigin">;

async function findToken(given: Arguments, environment: Terminal["environment"], folder: string): Promise<FoundToken> {
  const named = flagValue(given, "token-file");
  if (named !== undefined) return { token: await readToken(named), tokenOrigin: named };
  const { HIVEPOST_TOKEN: inline, HIVEPOST_TOKEN_FILE: file } = environment;
  if (inline) return { token: inline.trim(), tokenOrigin: "HIVEPOST_TOKEN" };
  if (file) return { token: await readToken(file), tokenOrigin: `${file} (HIVEPOST_TOKEN_FILE)` };
  const first = path.join(folder, "admin.token");
  return { token: await readToken(first).catch(nothingIfAbsent), tokenOrigin: first };
}

async function readToken(file: string): Promise<string> {
  return (await readFile(file, "utf8")).trim();
}

function nothingIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** Calls one operation over HTTP. @throws BusError as the server says. @throws NotReachable */
export async function ask<Name extends OperationName>(
  server: ServerAddress,
  operation: Name,
  input: Input<Name>,
  signal: AbortSignal,
): Promise<Output<Name>> {
  const { method, path: route, rest } = fillRoute(operation, input as Record<string, unknown>);
  const bodiless = method === "GET" || method === "DELETE";
  const response = await fetch(`${server.url}${route}${bodiless ? toQuery(rest) : ""}`, {
    method,
    signal,
    ...(!bodiless && { body: JSON.stringify(rest) }),
    headers: {
      ...(!bodiless && { "content-type": "application/json" }),
      ...(server.token && { authorization: `Bearer ${server.token}` }),
    },
  }).catch((cause: unknown) => {
    throw signal.aborted ? new Error("stopped before the server answered") : unreachable(server, cause);
  });
  const answer = await readAnswer(server, response);
  if (!response.ok) throw refusal(server, answer);
  // The server answers by the same table.
  return answer as Output<Name>;
}

/** The API's own words for a refusal, kept for `--json`. */
export class Refusal extends BusError {
  readonly problem: unknown;

  constructor(problem: { code: ErrorCode; detail: string }, hint: string) {
    super(problem.code, problem.detail + hint);
    this.problem = problem;
  }
}

function toQuery(fields: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString();
  return query && `?${query}`;
}

function unreachable({ url }: ServerAddress, cause: unknown): NotReachable {
  const { cause: inner } = cause as { cause?: { code?: string; message?: string } };
  const reason = inner?.code ?? inner?.message ?? String(cause);
  // Ports that browsers, and so fetch, keep off because other protocols live there: 6000, 6667 and some more.
  if (reason === "bad port") {
    return new NotReachable(`${url}: web clients refuse to connect to this port; serve on another with --port`, {
      cause,
    });
  }
  const untrusted = explainTlsFailure(url, reason);
  if (untrusted !== undefined) return new NotReachable(untrusted, { cause });
  const perhapsTls = url.startsWith("http:") && reason === "UND_ERR_SOCKET" ? ", is it https://…?" : "";
  return new NotReachable(
    `no server answers at ${url} (${reason}${perhapsTls}); start one with: ${programName} serve, or name another with --url or HIVEPOST_URL`,
    { cause },
  );
}

async function readAnswer(server: ServerAddress, response: Response): Promise<unknown> {
  const text = await response.text().catch((cause: unknown) => {
    throw unreachable(server, cause);
  });
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new NotReachable(`what answers at ${server.url} is no Hivepost server (status ${response.status}, no JSON)`, {
      cause,
    });
  }
}

function refusal(server: ServerAddress, answer: unknown): Error {
  const problem = answer as { code?: ErrorCode; detail?: string; message?: string } | null;
  if (!problem?.code) return new NotReachable(`what answers at ${server.url} is no Hivepost server`);
  const { code } = problem;
  const detail = problem.detail ?? problem.message ?? "";
  return new Refusal({ ...problem, code, detail }, code === "unauthenticated" ? tokenHint(server) : "");
}

function tokenHint({ token, tokenOrigin }: ServerAddress): string {
  if (token) return ` (the token came from ${tokenOrigin})`;
  return `; there is no ${tokenOrigin}: name the hive's folder with --data-dir, or set HIVEPOST_TOKEN or HIVEPOST_TOKEN_FILE`;
}

/**
 * A lasting connection, for what one request cannot do. @throws NotReachable at once where no server answers.
 *
 * @param patience How long requests wait for a server that goes away later; the client's default where it is not given.
 */
export async function openClient(
  { given, terminal, signal }: Run,
  patience: { readonly connect_timeout_ms?: number } = {},
): Promise<Client> {
  const server = await findServer(given, terminal);
  await ask(server, "health", {}, signal);
  const { url, token = "" } = server;
  // Loaded here, so that commands of one request start without it.
  const { connect } = await import("../client/client.ts");
  return connect(url, { token, ...patience });
}
