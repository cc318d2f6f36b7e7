import type { Flag } from "./arguments.ts";
import type { Command } from "./command.ts";
import { programName } from "./program-name.ts";

/** Commands under the question they answer; every command stands in exactly one group. */
const groups: readonly (readonly [title: string, names: readonly string[]])[] = [
  ["Run a server", ["serve", "config", "doctor", "backup", "restore"]],
  ["Send and receive", ["send", "send-many", "claim", "ack", "ack-many", "reject", "extend", "evidence"]],
  ["Agents", ["register", "agents", "agent", "heartbeat", "remove", "inbox"]],
  ["History", ["search", "show", "conversations", "conversation", "open", "set-conversation", "import", "replay"]],
  ["Tokens and traces", ["token create", "token list", "token revoke", "audit", "audit verify"]],
  ["Keys", ["keys status", "keys rotate", "keys rewrap", "keys reencrypt"]],
  ["Find out", ["top", "tail", "why", "health", "dead", "redrive"]],
  ["Anything else", ["call", "mcp", "help", "version"]],
];

const firstSteps: readonly (readonly [line: string, explanation: string])[] = [
  ["serve", "start the server; leave it running"],
  ["register bob", "give bob an inbox"],
  ['send bob "Please review the login page"', "put a message into it"],
  ["claim bob", "receive it; it prints the line that acknowledges it"],
];

/** `hivepost` and `hivepost help`. */
export function overview(commands: readonly Command[]): string {
  const byName = new Map(commands.map((command) => [command.name, command]));
  const sections = groups.map(([title, names]) => {
    const lines = names
      .flatMap((name) => byName.get(name) ?? [])
      .map((it) => `  ${it.name.padEnd(17)} ${it.summary}\n`);
    return `${title}:\n${lines.join("")}`;
  });
  const head = "hivepost: the post office of a fleet of coding agents.\n\nUsage: hivepost <command> [words] [flags]\n";
  const foot =
    "hivepost help <command> shows flags and examples. Every command knows --json and --help.\n" +
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 server not reachable.\n";
  const steps = firstSteps.map(([line, explanation]) => `  ${toLine(line).padEnd(54)} ${explanation}\n`);
  return [head, `First steps:\n${steps.join("")}`, ...sections, foot].join("\n");
}

/** `hivepost help <command>`. */
export function helpOf(command: Command): string {
  const usage = `Usage: hivepost ${[command.name, command.usage, "[flags]"].filter(Boolean).join(" ")}\n`;
  const also = command.also?.length ? `Also: ${command.also.join(", ")}\n` : "";
  const examples = command.examples.map(([line, explanation]) => `  ${toLine(line)}\n      ${explanation}\n`);
  const flags = command.flags.map((flag) => `  ${nameOf(flag)}\n      ${flag.help}\n`);
  const sections = [
    `${command.summary}\n`,
    usage + also,
    examples.length > 0 ? `Examples:\n${examples.join("")}` : "",
    flags.length > 0 ? `Flags:\n${flags.join("")}` : "",
    command.about ? `${command.about.trimEnd()}\n` : "",
  ];
  return sections.filter(Boolean).join("\n");
}

function nameOf(flag: Flag): string {
  const short = flag.short ? `-${flag.short}, ` : "";
  return flag.placeholder && flag.takes !== "switch"
    ? `${short}--${flag.name} ${flag.placeholder}`
    : `${short}--${flag.name}`;
}

/** Examples leave the program's name out, unless they are a pipe or another program's line. */
function toLine(line: string): string {
  return line.includes("hivepost ")
    ? line.replace(/\bhivepost (?=[a-z])/, `${programName} `)
    : `${programName} ${line}`;
}
