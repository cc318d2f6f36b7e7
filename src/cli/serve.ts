import { setTimeout as sleep } from "node:timers/promises";
import { isSwitch, loadConfig } from "../config.ts";
import { visible } from "../core/rendering/visible.ts";
import { type Setting, type SettingName, settings } from "../settings.ts";
import type { Flag } from "./arguments.ts";
import { settingFlags } from "./call.ts";
import type { Command, Run } from "./command.ts";
import type { ExitCode } from "./failure.ts";
import { programName } from "./program-name.ts";

/** Beyond the time the server gives to what is under way: closing files. */
const closing_ms = 1_500;

const settingNames = Object.keys(settings) as SettingName[];

/** A flag for each setting. */
export const settingsAsFlags: readonly Flag[] = [
  ...settingNames.map((it) => toFlag(it.replaceAll("_", "-"), settings[it])),
  { name: "config", takes: "value", placeholder: "FILE", help: "A config file other than ./hivepost.config.json" },
];

function toFlag(name: string, setting: Setting): Flag {
  if (isSwitch(setting)) return { name, takes: "switch", help: setting.help };
  const placeholder = typeof setting.default === "number" ? "N" : "TEXT";
  const help = setting.default === "" ? setting.help : `${setting.help} (default ${setting.default})`;
  return { name, takes: "value", placeholder, help };
}

export const serveCommand: Command = {
  name: "serve",
  also: ["start", "server"],
  summary: "Run the server until it is told to stop.",
  usage: "",
  flags: settingsAsFlags,
  examples: [
    ["serve", "on http://127.0.0.1:4483, with its data in ~/.hivepost"],
    ["serve --port 0 --data-dir ./hive", "on a free port, with its data here"],
  ],
  about:
    "Prints `listening on URL` on standard output when it is ready; logs go to standard error. The first start writes an\n" +
    "admin token to admin.token in the data folder, and makes a master key in your configuration folder. SIGTERM or Ctrl-C stops it gracefully, a second one at once.\n" +
    "Each flag is also an environment variable (--inbox-depth is HIVEPOST_INBOX_DEPTH) and a field of hivepost.config.json.",
  run: runServer,
};

async function runServer(run: Run): Promise<ExitCode> {
  const { given, terminal, json, signal } = run;
  const flags = settingFlags(
    given,
    [...given.flags.keys()].filter((name) => name !== "json"),
  );
  const { environment } = terminal;
  const { stop_ms } = loadConfig(flags, environment);
  // Loaded here, so that every other command starts without the server's weight.
  const { serve } = await import("../serve.ts");
  const hive = await serve({ flags, environment });
  terminal.stdout.write(
    json ? `${JSON.stringify({ url: hive.url, data_dir: hive.dataDir })}\n` : `listening on ${hive.url}\n`,
  );
  // A program that starts us reads the one line; a person gets to know what to do next.
  if (terminal.stderr.isTTY || environment["npm_lifecycle_event"]) {
    terminal.stderr.write(nextSteps(hive));
    if (hive.keyFileMade !== undefined) terminal.stderr.write(aboutKey(hive.keyFileMade));
  }
  const failure = await Promise.race([aborted(signal), hive.failed]);
  if (failure)
    terminal.stderr.write(`hivepost: ${visible(failure.message)}; stopping, since nothing can be promised any more\n`);
  const stopped = await stopWithin(stop_ms + closing_ms, hive, run);
  return stopped && !failure ? 0 : 1;
}

/** Whether it stopped in time; if not, the process is ended all the same. */
async function stopWithin(limit_ms: number, hive: AsyncDisposable, { terminal }: Run): Promise<boolean> {
  const stopped = hive[Symbol.asyncDispose]().then(() => true);
  if (await Promise.race([stopped, sleep(limit_ms, false, { ref: false })])) return true;
  terminal.stderr.write(`hivepost: did not stop within ${limit_ms} ms and was cut short; nothing accepted is lost\n`);
  process.exit(1);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

/** Commands that work as they are typed: with the address and folder where these are not the usual ones. */
function nextSteps({ url, dataDir }: { url: string; dataDir: string }): string {
  const { port, host, data_dir } = settings;
  const exports = [
    url === `http://${host.default}:${port.default}` ? "" : `  export HIVEPOST_URL=${url}\n`,
    dataDir === data_dir.default ? "" : `  export HIVEPOST_DATA_DIR=${quotedForShell(dataDir)}\n`,
  ];
  return `
Now, in another terminal:
${exports.join("")}  ${programName} register bob
  ${programName} send bob "Please review the login page"
  ${programName} claim bob

${programName} help shows the rest; the API is at ${url}/docs. Ctrl-C stops the server.

`;
}

/** Said once, when it is made: whoever loses this file has lost the mail. */
function aboutKey(file: string): string {
  return `Everything said is stored encrypted under the master key that was just made:\n  ${visible(file)}\nKeep a copy of it somewhere safe: without it nothing can be read, and no backup holds it.\n\n`;
}

function quotedForShell(text: string): string {
  return /^[\w./+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
