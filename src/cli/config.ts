import { explainConfig } from "../config.ts";
import { jsonLine } from "../core/rendering/visible.ts";
import { type SettingName, settings } from "../settings.ts";
import { settingFlags } from "./call.ts";
import type { Command } from "./command.ts";
import { nearest } from "./nearest.ts";
import { table } from "./print.ts";
import { settingsAsFlags } from "./serve.ts";

/** Variables of the environment that are no settings. */
const otherVariables = ["HIVEPOST_URL", "HIVEPOST_TOKEN", "HIVEPOST_TOKEN_FILE", "HIVEPOST_CA_FILE", "HIVEPOST_CONFIG"];

export const configCommand: Command = {
  name: "config",
  also: ["settings"],
  summary: "Show every setting, its value and where the value came from.",
  usage: "",
  flags: settingsAsFlags,
  examples: [
    ["config", "what `hivepost serve` would use here"],
    ["config --json", "the same for a program"],
  ],
  about:
    "A flag wins over the environment, that over hivepost.config.json, that over the default. The config file may also\n" +
    'hold "retry": message type → max_attempts, base_delay_ms, max_delay_ms.',
  run: async ({ given, terminal, json }) => {
    const flags = settingFlags(
      given,
      [...given.flags.keys()].filter((name) => name !== "json"),
    );
    const inForce = explainConfig(flags, terminal.environment);
    const names = Object.keys(settings) as SettingName[];
    for (const warning of misspelt(Object.keys(terminal.environment))) terminal.stderr.write(`hivepost: ${warning}\n`);
    if (json) {
      const entries = names.map((name) => [name, { ...inForce[name], default: settings[name].default }] as const);
      terminal.stdout.write(`${jsonLine(Object.fromEntries(entries))}\n`);
      return 0;
    }
    const rows = names.map((name) => [name, String(inForce[name].value), inForce[name].origin, settings[name].help]);
    const titles = ["setting", "value", "from", "what it is"].map((title) => ({ title }));
    terminal.stdout.write(table(titles, rows, terminal.stdout.isTTY ? terminal.stdout.columns : Infinity));
    return 0;
  },
};

/** A variable that looks like ours and is none sets nothing, which is easily overlooked. */
export function misspelt(variables: readonly string[]): readonly string[] {
  const known = [...otherVariables, ...Object.keys(settings).map((name) => `HIVEPOST_${name.toUpperCase()}`)];
  return variables
    .filter((name) => name.startsWith("HIVEPOST_") && !known.includes(name))
    .map((name) => {
      const meant = nearest(name, known);
      return `the environment sets ${name}, which means nothing${meant ? `; did you mean ${meant}?` : ""}`;
    });
}
