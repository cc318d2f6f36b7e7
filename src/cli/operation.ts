import { operations } from "../contract/operations.ts";
import { type OperationName, operationNames } from "../contract/routes.ts";
import { jsonLine } from "../core/rendering/visible.ts";
import { describeAnswer, isRefusal } from "./answers.ts";
import { ask, findServer, type ServerAddress, serverFlags } from "./call.ts";
import type { Command, Run } from "./command.ts";
import { commandOfOperation } from "./commands.ts";
import type { ExitCode } from "./failure.ts";
import { flagsOf, inputOf, usageOf } from "./fields.ts";
import { keysFlag } from "./keys-flag.ts";

/** A command for each operation, read off the table. */
export const operationCommands: readonly Command[] = operationNames.map(toCommand);

function toCommand(operation: OperationName): Command {
  const spec = commandOfOperation[operation];
  return {
    name: spec.name,
    also: [...(spec.also ?? []), operation],
    summary: operations[operation].summary,
    usage: usageOf(operation, spec),
    flags: [...flagsOf(operation, spec), ...(spec.keys ? [keysFlag] : []), ...serverFlags],
    examples: spec.examples,
    about: `Operation ${operation} of the API.`,
    run: async (run) => {
      const around = { now: Date.now, readStdin: () => run.terminal.readStdin() };
      return await callAndPrint(operation, await inputOf(operation, spec, run.given, around), run);
    },
  };
}

/** Calls an operation and prints its answer, as JSON or for a person. */
export async function callAndPrint(operation: OperationName, input: object, run: Run): Promise<ExitCode> {
  const server = await findServer(run.given, run.terminal);
  // The server checks the input against the operation's schema; nothing here relies on its shape.
  const output = await ask(server, operation, (await sealedIfAsked(input, server, run)) as never, run.signal);
  const { stdout } = run.terminal;
  if (run.json) stdout.write(`${jsonLine(output)}\n`);
  else {
    const readable = await openedWhereKeysAre(output, server, run);
    stdout.write(describeAnswer(operation, readable, stdout.isTTY ? stdout.columns : Infinity));
  }
  return isRefusal(output) ? 1 : 0;
}

/** What seals is loaded where it is needed alone: most commands start without. */
async function sealedIfAsked(input: object, server: ServerAddress, run: Run): Promise<object> {
  if (!run.given.flags.has("seal")) return input;
  const { sealInput } = await import("./sealing.ts");
  return sealInput(input, server, run);
}

/** In answers of which only this machine can say whether they hold. */
const sealedFields = /"(?:sealed":\{|verified":|unopened":|fingerprint":)/;

async function openedWhereKeysAre(output: object, server: ServerAddress, run: Run): Promise<object> {
  if (!sealedFields.test(JSON.stringify(output))) return output;
  const { openOutput } = await import("./sealing.ts");
  return openOutput(output, server, run);
}
