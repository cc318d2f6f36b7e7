import { jsonLine, visibleLine } from "../core/rendering/visible.ts";
import { UsageError } from "./arguments.ts";
import { folderFlags, folderOf } from "./backup.ts";
import type { Command, Run } from "./command.ts";
import type { ExitCode } from "./failure.ts";
import { counted } from "./print.ts";

/** Reads the files of the folder, with and without a server at work there. */
export const verifyAuditCommand: Command = {
  name: "audit verify",
  summary: "Check that the audit log is as the server wrote it, with or without a server.",
  usage: "",
  flags: folderFlags,
  examples: [["audit verify", "exit code 1, and which line is wrong, where it was changed"]],
  run: verify,
};

async function verify({ given, terminal, json }: Run): Promise<ExitCode> {
  if (given.words.length > 0) throw new UsageError("audit verify takes no more than --data-dir, --config and --json");
  const { verifyAudit } = await import("../offline.ts");
  const verdict = await verifyAudit(folderOf(given, terminal));
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
