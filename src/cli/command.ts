import type { Arguments, Flag } from "./arguments.ts";
import type { ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Everything a command needs to run. */
export type Run = {
  readonly given: Arguments;
  readonly terminal: Terminal;
  /** Whether `--json` asks for the API's answer as it is. */
  readonly json: boolean;
  /** Aborted when the person or the system asks the program to stop. */
  readonly signal: AbortSignal;
};

/** What can stand after `hivepost`. */
export type Command = {
  readonly name: string;
  readonly also?: readonly string[];
  readonly summary: string;
  /** The words it takes, as help shows them: `<file>`, `[agent]`. */
  readonly usage: string;
  readonly flags: readonly Flag[];
  readonly examples: readonly (readonly [line: string, explanation: string])[];
  /** More to know, for `hivepost help <command>`. */
  readonly about?: string;
  /** Changes nothing and may be busy without a pause: a signal just ends the process. Others are asked to stop. */
  readonly endsAtOnce?: true;
  readonly run: (run: Run) => Promise<ExitCode>;
};
