import { main } from "../../src/cli/main.ts";
import type { Screen, Terminal } from "../../src/cli/terminal.ts";

export type Ran = { readonly code: number; readonly out: string; readonly err: string };

import { configurationFolder } from "../support/configuration.ts";

export type FakeTerminal = Terminal & { readonly out: () => string; readonly err: () => string };

/** A terminal that keeps what is written to it. */
export function fakeTerminal(options: {
  readonly environment?: Terminal["environment"];
  readonly stdin?: string;
  readonly isTTY?: boolean;
}): FakeTerminal {
  const out: string[] = [];
  const err: string[] = [];
  const screen = (kept: string[]): Screen => ({
    isTTY: options.isTTY ?? false,
    columns: 100,
    rows: 30,
    write: (text) => {
      kept.push(text);
    },
  });
  return {
    stdout: screen(out),
    stderr: screen(err),
    environment: { XDG_CONFIG_HOME: configurationFolder, ...options.environment },
    readStdin: async () => options.stdin ?? "",
    out: () => out.join(""),
    err: () => err.join(""),
  };
}

/** Runs one command line in this process. */
export async function run(
  argv: readonly string[],
  options: { environment?: Terminal["environment"]; stdin?: string } = {},
): Promise<Ran> {
  const terminal = fakeTerminal(options);
  const code = await main(argv, terminal);
  return { code, out: terminal.out(), err: terminal.err() };
}
