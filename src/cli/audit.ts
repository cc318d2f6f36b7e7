import { UsageError } from "./arguments.ts";
import { folderOf } from "./backup.ts";
import type { Run } from "./command.ts";
import type { ExitCode } from "./failure.ts";
import { counted, jsonLine, visibleLine } from "./print.ts";

/** `hivepost audit verify`: reads the files of the folder, with and without a server at work there. */
export async function verifyAudit({ given, terminal, json }: Run): Promise<ExitCode> {
  const [, extra] = given.words;
  const stray = [...given.flags.keys()].find((it) => !["data-dir", "config", "json"].includes(it));
  if (extra || stray) throw new UsageError("audit verify takes no more than --data-dir, --config and --json");
  const { verifyAudit: verify } = await import("../offline.ts");
  const verdict = await verify(folderOf(given, terminal));
  terminal.stdout.write(json ? `${jsonLine(verdict)}\n` : describe(verdict));
  return verdict.whole ? 0 : 1;
}

type Verdict = Awaited<ReturnType<typeof import("../offline.ts")["verifyAudit"]>>;

function describe(verdict: Verdict): string {
  const { entries, from, to } = verdict;
  const span = from === undefined ? "" : ` from ${from} to ${to}`;
  if (verdict.whole) {
    const { unfinished_bytes } = verdict;
    const remark =
      unfinished_bytes === undefined ? "" : "a line at the end is unfinished; the next start takes it out\n";
    return `whole: ${counted(entries, "entry", "entries")}${span}\n${remark}`;
  }
  const { problem = "", file = "audit.jsonl", line = 1, explanation = "" } = verdict;
  const before = `before that: ${counted(entries, "entry", "entries")}${span}, whole\n`;
  return `${visibleLine(`${problem.replace("_", " ")}: ${file} line ${line}: ${explanation}`)}\n${before}`;
}
