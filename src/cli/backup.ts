import path from "node:path";
import { loadConfig } from "../config.ts";
import { jsonLine, visibleLine } from "../core/rendering/visible.ts";
import type { Counts } from "../offline.ts";
import { type Arguments, type Flag, UsageError } from "./arguments.ts";
import { settingFlags } from "./call.ts";
import type { Command } from "./command.ts";
import { counted } from "./print.ts";
import { showProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Flags of commands that work on the folder itself. */
export const folderFlags: readonly Flag[] = [
  { name: "data-dir", takes: "value", placeholder: "FOLDER", help: "The hive's folder (default ~/.hivepost)" },
  { name: "config", takes: "value", placeholder: "FILE", help: "A config file other than ./hivepost.config.json" },
];

/** The hive's folder by flag, environment, config file or default. */
export function folderOf(given: Arguments, { environment }: Terminal): string {
  return loadConfig(settingFlags(given, ["data-dir", "config"]), environment).data_dir;
}

export const backupCommand: Command = {
  name: "backup",
  summary: "Copy the hive into one file, also while a server works on it.",
  usage: "<file>",
  flags: folderFlags,
  examples: [["backup ~/hive-monday.db", "everything accepted before this moment, checked before it gets its name"]],
  run: async ({ given, terminal, json }) => {
    const target = onlyFile(given, "backup");
    const folder = folderOf(given, terminal);
    const { backUp } = await import("../offline.ts");
    const progress = showProgress({ screen: terminal.stderr, label: "copying pages", total: undefined });
    const counts = await backUp(folder, target, ({ done }) => progress.update(done)).finally(progress.finish);
    terminal.stdout.write(
      json
        ? `${jsonLine({ file: target, counts })}\n`
        : `wrote ${visibleLine(target)} (${describe(counts)}); it has been checked\n`,
    );
    return 0;
  },
};

export const restoreCommand: Command = {
  name: "restore",
  summary: "Put a backup in the place of the hive's database; what was there is kept aside.",
  usage: "<file>",
  flags: [
    { name: "force", takes: "switch", help: "Also where there is a database already: it is moved aside, not deleted" },
    ...folderFlags,
  ],
  examples: [
    ["restore ~/hive-monday.db --data-dir ./hive", "into an empty folder"],
    ["restore ~/hive-monday.db --force", "in place of what is there; the server must be stopped"],
  ],
  run: async ({ given, terminal, json }) => {
    const file = onlyFile(given, "restore");
    const folder = folderOf(given, terminal);
    const { restore } = await import("../offline.ts");
    const { counts, moved_to } = await restore(file, folder, { force: given.flags.has("force") });
    const aside =
      moved_to === undefined
        ? "tokens are as they were at the backup: revoke again what was revoked since then\n"
        : `what was there is in ${visibleLine(moved_to)}\ntokens that were revoked there stay revoked\n`;
    const line = `restored ${visibleLine(folder)} from ${visibleLine(file)} (${describe(counts)})\n${aside}`;
    terminal.stdout.write(json ? `${jsonLine({ folder, counts, moved_to })}\n` : line);
    return 0;
  },
};

function onlyFile(given: Arguments, command: string): string {
  const [file, extra] = given.words;
  if (file && !extra) return path.resolve(file.text);
  throw new UsageError(`${command} wants one file, e.g. hivepost ${command} ~/hive-monday.db`);
}

function describe({ messages, deliveries, events }: Counts): string {
  return [counted(messages, "message"), counted(deliveries, "delivery", "deliveries"), counted(events, "event")].join(
    ", ",
  );
}
