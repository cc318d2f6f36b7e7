import { loadConfig } from "../config.ts";
import { jsonLine, visibleLine } from "../core/rendering/visible.ts";
import { flagValue } from "./arguments.ts";
import { folderFlags } from "./backup.ts";
import { findServer, serverFlags, settingFlags } from "./call.ts";
import type { Command, Run } from "./command.ts";
import { checkDatabase, checkDisk, checkFolder, checkKeys, checkToken } from "./doctor-folder.ts";
import { checkClock, checkEnvironment, checkProgram } from "./doctor-machine.ts";
import { checkCertificate } from "./doctor-network.ts";
import { checkServer } from "./doctor-server.ts";
import { describeFailure, type ExitCode } from "./failure.ts";
import type { Finding } from "./finding.ts";

const ownFlags = new Set(folderFlags.map((it) => it.name));

export const doctorCommand: Command = {
  name: "doctor",
  summary: "Examine this machine, the hive's folder and the server, and say how to mend what is wrong.",
  usage: "",
  flags: [
    { name: "quick", takes: "switch", help: "Do not read the whole database" },
    ...folderFlags,
    ...serverFlags.filter((it) => !ownFlags.has(it.name)),
  ],
  examples: [
    ["doctor", "everything"],
    ["doctor --data-dir ./hive --quick", "another hive, without reading its whole database"],
  ],
  about: "Changes nothing. Exit code 1 if anything is wrong; warnings do not count.",
  endsAtOnce: true,
  run: examineAll,
};

async function examineAll(run: Run): Promise<ExitCode> {
  const { terminal, json } = run;
  const findings: Finding[] = [];
  for await (const finding of examinations(run)) {
    findings.push(finding);
    if (!json) terminal.stdout.write(describeFinding(finding));
  }
  const wrong = findings.filter((it) => it.verdict === "wrong").length;
  if (json) terminal.stdout.write(`${jsonLine({ ok: wrong === 0, findings })}\n`);
  else
    terminal.stdout.write(wrong === 0 ? "\nnothing is wrong\n" : `\n${wrong} of ${findings.length} things are wrong\n`);
  return wrong === 0 ? 0 : 1;
}

/** One after the other, so that a person sees where it is; what an examination cannot do is a finding too. */
async function* examinations({ given, terminal, signal }: Run): AsyncGenerator<Finding> {
  yield* checkProgram(process.versions);
  yield* checkEnvironment(terminal.environment);
  const config = readSettings(() => loadConfig(settingFlags(given, ["data-dir", "config"]), terminal.environment));
  yield config.finding;
  if (!config.value) return;
  const { data_dir, host, port } = config.value;
  yield* checkFolder(data_dir);
  yield* checkDisk(data_dir);
  yield* checkToken(data_dir);
  yield* checkKeys(config.value, terminal.environment);
  yield* checkCertificate(config.value, Date.now());
  const named = flagValue(given, "url") ?? terminal.environment["HIVEPOST_URL"];
  const server = await findServer(given, terminal);
  const { findings, running, clock_ms } = await checkServer({
    server,
    host,
    port,
    folder: data_dir,
    named: named !== undefined,
    signal,
  });
  yield* findings;
  yield* checkClock(Date.now(), clock_ms);
  if (!given.flags.has("quick")) yield* checkDatabase(data_dir, running, terminal.stderr);
}

function readSettings<Value>(read: () => Value): { readonly value?: Value; readonly finding: Finding } {
  try {
    return { value: read(), finding: { check: "settings", verdict: "right", text: "can be read" } };
  } catch (error) {
    const { message: text } = describeFailure(error);
    const mend = "correct it; hivepost config shows every setting and where it comes from";
    return { finding: { check: "settings", verdict: "wrong", text, mend } };
  }
}

const marks = { right: "ok  ", odd: "odd ", wrong: "BAD " } as const;

function describeFinding({ check, verdict, text, mend }: Finding): string {
  const line = `${marks[verdict]}  ${check.padEnd(12)} ${visibleLine(text)}\n`;
  return mend === undefined ? line : `${line}      ${" ".repeat(12)} → ${visibleLine(mend)}\n`;
}
