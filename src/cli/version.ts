import { readFileSync } from "node:fs";
import { jsonLine } from "../core/rendering/visible.ts";
import type { Command } from "./command.ts";

/** As in package.json, two folders up from `src/cli` and from `dist/cli`. */
export const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

export const versionCommand: Command = {
  name: "version",
  summary: "Show the versions of hivepost, Node and SQLite.",
  usage: "",
  flags: [],
  examples: [["version", "which ones are in use"]],
  run: async ({ terminal, json }) => {
    const { node, sqlite = "" } = process.versions;
    const versions = { hivepost: version, node, sqlite };
    const line = `hivepost ${version}, Node ${node}, SQLite ${sqlite}`;
    terminal.stdout.write(json ? `${jsonLine(versions)}\n` : `${line}\n`);
    return 0;
  },
};
