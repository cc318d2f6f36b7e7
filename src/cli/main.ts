import { jsonLine } from "../core/rendering/visible.ts";
import { type Arguments, type Flag, parseArguments, quoted, UsageError } from "./arguments.ts";
import { Refusal } from "./call.ts";
import type { Command } from "./command.ts";
import { describeFailure, type ExitCode } from "./failure.ts";
import { helpOf, overview } from "./help.ts";
import { suggestion } from "./nearest.ts";
import { operationCommands } from "./operation.ts";
import { programName } from "./program-name.ts";
import { stopSignal } from "./signals.ts";
import { specialCommands } from "./special.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

const everywhere: readonly Flag[] = [
  { name: "json", takes: "switch", help: "Print exactly the API's answer" },
  { name: "help", takes: "switch", short: "h", help: "Show this" },
];

const helpCommand: Command = {
  name: "help",
  summary: "Show what a command does, its flags and examples.",
  usage: "[command]",
  flags: [],
  examples: [["help send", "everything about sending"]],
  run: async ({ given, terminal }) => {
    const words = given.words.map((it) => it.text);
    const { name } = readName(words);
    terminal.stdout.write(name ? helpOf(withEverywhere(findCommand(name))) : overview(commands));
    return 0;
  },
};

const commands: readonly Command[] = [...operationCommands, ...specialCommands, helpCommand];

/**
 * Runs one command line. Never throws: whatever goes wrong is one line on standard error and the exit code.
 *
 * @param argv What follows the program's name.
 */
export async function main(argv: readonly string[], terminal: Terminal = processTerminal()): Promise<ExitCode> {
  try {
    return await dispatch(argv, terminal);
  } catch (error) {
    const { message, code } = describeFailure(error);
    if (asksForJson(argv) && error instanceof Refusal) terminal.stdout.write(`${jsonLine(error.problem)}\n`);
    terminal.stderr.write(`hivepost: ${message}\n`);
    return code;
  }
}

/** After a bare `--` it would be text. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? argv.length : end).includes("--json");
}

async function dispatch(argv: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const { name, rest } = readName(argv);
  if (name === undefined || name === "--help" || name === "-h") {
    terminal.stdout.write(overview(commands));
    return 0;
  }
  const command = withEverywhere(findCommand(name === "--version" || name === "-v" ? "version" : name));
  const given = parseArguments(rest, command.flags);
  if (given.flags.has("help")) {
    terminal.stdout.write(helpOf(command));
    return 0;
  }
  return await runUntilStopped(command, given, terminal);
}

/** Some commands have two words, as `token create`. */
function readName(argv: readonly string[]): { readonly name: string | undefined; readonly rest: readonly string[] } {
  const two = argv.slice(0, 2).join(" ");
  const words = commands.some((it) => it.name === two) ? 2 : 1;
  return { name: argv.length === 0 ? undefined : argv.slice(0, words).join(" "), rest: argv.slice(words) };
}

async function runUntilStopped(command: Command, given: Arguments, terminal: Terminal): Promise<ExitCode> {
  const json = given.flags.has("json");
  if (command.endsAtOnce) return await command.run({ given, terminal, json, signal: new AbortController().signal });
  using stop = stopSignal();
  return await command.run({ given, terminal, json, signal: stop.signal });
}

function withEverywhere(command: Command): Command {
  return { ...command, flags: [...command.flags, ...everywhere] };
}

/** By its name or another word for it. @throws UsageError with the nearest name. */
function findCommand(name: string): Command {
  const found = commands.find((it) => it.name === name) ?? commands.find((it) => it.also?.includes(name));
  if (found) return found;
  if (name.startsWith("-")) {
    throw new UsageError(
      `flags come after the command, as in: ${programName} agents --json; not first ${quoted(name)}`,
    );
  }
  const inGroup = commands.map((it) => it.name).filter((it) => it.startsWith(`${name} `));
  if (inGroup.length > 0) throw new UsageError(`say which: ${inGroup.join(", ")}`);
  const names = commands.flatMap((it) => [it.name, ...(it.also ?? [])]);
  throw new UsageError(
    `there is no command ${quoted(name)}${suggestion(name, names)}; ${programName} help lists them all`,
  );
}
