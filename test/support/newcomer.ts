import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Block, MarkdownDocument } from "./documents.ts";

/** A block of a document that was carried out. */
export type FollowedBlock = {
  /** `README.md:42`, for messages. */
  readonly at: string;
  readonly text: string;
  /** Undefined where it was never reached. */
  readonly exit_code: number | undefined;
  readonly output: string;
  /** What the document shows as the block's output: a `text` block right after it. */
  readonly shown: string | undefined;
};

export type Walk = {
  readonly blocks: readonly FollowedBlock[];
  /** What `GET /metrics` said at the end. */
  readonly metrics: string;
};

/** Done once by whoever runs the tests, or what is running already. */
const doneAlready = /^(npm ci|npm test)$/;
const startsServer = /^npm start\b/m;
const languages = ["sh", "ts", "py"];
const longest_ms = 480_000;

/**
 * Does what documents tell a newcomer to type, in order, in one shell with an empty home: `sh` blocks as they stand,
 * `ts` and `py` blocks as programs. A block with `npm start` starts the server, on a free port in place of the default.
 */
export async function followDocuments(documents: readonly MarkdownDocument[]): Promise<Walk> {
  const place = await mkdtemp(path.join(tmpdir(), "hivepost-newcomer-"));
  const port = await freePort();
  const environment = newcomersEnvironment(place, port);
  await mkdir(environment.HOME);
  const runnable = documents.flatMap((document) => runnableBlocks(document));
  const server = startServer(environment);
  try {
    await untilListening(server);
    // Numbers of equal length, so that the shell lists the outputs in order.
    const base = (i: number) => path.join(place, String(100 + i));
    const parts = await Promise.all(runnable.map(({ block }, i) => toScript(block, base(i), port)));
    await runShell(prelude(place) + parts.join("\n"), environment);
    const metrics = await readMetrics(environment);
    const blocks = await Promise.all(
      runnable.map(async ({ block, at, shown }, i) => {
        const output = await readIfThere(`${base(i)}.out`);
        const code = await readIfThere(`${base(i)}.code`);
        return { at, text: block.text, exit_code: code === "" ? undefined : Number(code), output, shown };
      }),
    );
    return { blocks, metrics };
  } finally {
    await stopServer(server);
    await rm(place, { recursive: true, force: true });
  }
}

function runnableBlocks({ file, blocks, text }: MarkdownDocument) {
  return blocks.flatMap((block, i) => {
    if (!languages.includes(block.language)) return [];
    const next = blocks[i + 1];
    const shown = next?.language === "text" && follows(text, block, next) ? next.text : undefined;
    return [{ block, at: `${file}:${block.line}`, shown }];
  });
}

/** Whether nothing but space stands between two blocks. */
function follows(text: string, block: Block, next: Block): boolean {
  const length = block.text.split("\n").length + 1;
  const between = text.split("\n").slice(block.line - 1 + length, next.line - 1);
  return between.every((line) => line.trim() === "");
}

/**
 * Bash that carries out a block, writes what it prints to `base`.out and its exit code to `base`.code. Where the document
 * says MESSAGE_ID or LEASE_ID, what the latest claim printed takes its place.
 */
async function toScript(block: Block, base: string, port: number): Promise<string> {
  const text = block.text.replaceAll("4483", String(port));
  if (block.language !== "sh") return withOutput(base, await programCall(block.language, text, base));
  await writeFile(`${base}.template`, shellLines(text));
  return withOutput(base, `fill_in "${base}.template" >"${base}.sh"\nsource "${base}.sh"`);
}

function withOutput(base: string, body: string): string {
  return `exec >"${base}.out" 2>&1\ntrap 'echo $? >"${base}.code"' EXIT\n${body}\necho 0 >"${base}.code"\n`;
}

/** Defines `fill_in`: reads what claims have printed, for people or as JSON. */
function prelude(place: string): string {
  return `
fill_in() {
  local last message lease
  last=$(cat "${place}"/*.out | grep -E 'hivepost ack |"lease_id"' | tail -n 1 || true)
  message=$(grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' <<<"$last" | head -n 1 || true)
  lease=$(sed -nE 's/.*(hivepost ack [^ ]+ |"lease_id": ?")([^" ]+).*/\\2/p' <<<"$last")
  sed "s|MESSAGE_ID|$message|g; s|LEASE_ID|$lease|g" "$1"
}
`;
}

function shellLines(text: string): string {
  const lines = text.split("\n").filter((line) => !doneAlready.test(line.trim()) && !startsServer.test(line));
  return lines.join("\n");
}

async function programCall(language: string, text: string, base: string): Promise<string> {
  await writeFile(`${base}.${language}`, text);
  if (language === "py") return `PYTHONPATH="${path.resolve("python")}" python3 "${base}.py"`;
  const asInstalled = path.resolve("test/support/resolve-hivepost.ts");
  return `"${process.execPath}" --import "${asInstalled}" "${base}.ts"`;
}

/** An empty home, and the machine's own Node: not the one that the test runner puts first. */
function newcomersEnvironment(place: string, port: number) {
  const { PATH = "", NODE_TEST_CONTEXT: _, ...rest } = process.env;
  const own = path.resolve("node_modules");
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => !/^(npm_|HIVEPOST_)/.test(name))),
    PATH: PATH.split(":")
      .filter((it) => !it.startsWith(own))
      .join(":"),
    HOME: path.join(place, "home"),
    HIVEPOST_PORT: String(port),
    HIVEPOST_URL: `http://127.0.0.1:${port}`,
  };
}

function startServer(env: NodeJS.ProcessEnv): ChildProcess {
  // A process group of its own, so that npm, its shell and the server all get the signal.
  return spawn("npm", ["start"], { env, detached: true, stdio: ["ignore", "pipe", "inherit"] });
}

async function untilListening(server: ChildProcess): Promise<void> {
  let printed = "";
  for await (const chunk of server.stdout ?? []) {
    printed += String(chunk);
    if (printed.includes("listening on")) return;
  }
  throw new Error(`npm start ended before it listened: ${printed}`);
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.pid === undefined) return;
  const ended = once(server, "exit");
  process.kill(-server.pid, "SIGTERM");
  await ended;
}

async function runShell(script: string, env: NodeJS.ProcessEnv): Promise<void> {
  const shell = spawn("bash", ["-e", "-o", "pipefail", "-c", script], {
    env,
    stdio: "ignore",
    timeout: longest_ms,
    killSignal: "SIGKILL",
  });
  await once(shell, "exit");
}

async function readMetrics({ HOME, HIVEPOST_URL }: { HOME: string; HIVEPOST_URL: string }): Promise<string> {
  const token = (await readFile(path.join(HOME, ".hivepost/admin.token"), "utf8")).trim();
  const response = await fetch(`${HIVEPOST_URL}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  return response.text();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("the listener has no port");
  return address.port;
}

async function readIfThere(file: string): Promise<string> {
  return existsSync(file) ? readFile(file, "utf8") : "";
}
