import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { parseJson } from "./base/json.ts";
import { BusError } from "./contract/errors.ts";
import type { DeliveryPolicy, RetryPolicy } from "./core/messaging/policy.ts";
import { type Setting, type SettingName, settings, type TextSetting } from "./settings.ts";

type ValueOf<Default> = Default extends number ? number : Default extends boolean ? boolean : string;
type Settings = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]["default"]> };
/** Every setting, checked, with the more specific back-off of each message type (`backoff` in the config file). */
export type Config = Settings & { readonly retry: DeliveryPolicy["retry"] };

type Source = Readonly<Record<string, string | undefined>>;

/** A setting as it stands, and where its value came from: a flag, an environment variable, the config file, or `default`. */
export type SettingInForce = { readonly value: string | number | boolean; readonly origin: string };

/**
 * Reads the settings. @throws BusError `invalid_input` naming the setting, where it came from and what it may be.
 *
 * @param flags As parsed from the command line, names in snake_case.
 */
export function loadConfig(flags: Source = {}, environment: Source = process.env): Config {
  const file = readConfigFile(flags["config"] ?? environment["HIVEPOST_CONFIG"]);
  const inForce = settingsInForce(file, flags, environment);
  const plain = Object.fromEntries(Object.entries(inForce).map(([name, { value }]) => [name, value])) as Settings;
  return { ...plain, retry: retryOf(plain, file.values["retry"], file.name) };
}

/** Every setting with its origin, for people who wonder. @throws BusError `invalid_input`, as `loadConfig`. */
export function explainConfig(
  flags: Source = {},
  environment: Source = process.env,
): Readonly<Record<SettingName, SettingInForce>> {
  return settingsInForce(readConfigFile(flags["config"] ?? environment["HIVEPOST_CONFIG"]), flags, environment);
}

function settingsInForce(file: ConfigFile, flags: Source, environment: Source): Record<SettingName, SettingInForce> {
  const names = Object.keys(settings) as SettingName[];
  const inForce = names.map((name): [SettingName, SettingInForce] => {
    const variable = `HIVEPOST_${name.toUpperCase()}`;
    const [given, origin] =
      flags[name] !== undefined
        ? [flags[name], `--${name.replaceAll("_", "-")}`]
        : environment[variable] !== undefined
          ? [environment[variable], variable]
          : [file.values[name], `${name} in ${file.name}`];
    if (given === undefined) return [name, { value: settings[name].default, origin: "default" }];
    return [name, { value: checked(settings[name], given, origin), origin }];
  });
  return Object.fromEntries(inForce) as Record<SettingName, SettingInForce>;
}

/** Absolute, with `~` as a shell has it: a config file, or a flag written with `=`, sees no shell. */
function toPath(text: string): string {
  return path.resolve(text.replace(/^~(?=$|[/\\])/, homedir()));
}

type NumberSetting = Extract<Setting, { default: number }>;

function checked(setting: Setting, given: unknown, origin: string): string | number | boolean {
  const value = isText(setting)
    ? checkedText(setting, given)
    : isSwitch(setting)
      ? checkedSwitch(given)
      : checkedNumber(setting, given);
  if (value !== undefined) return value;
  throw new BusError(
    "invalid_input",
    `${origin}: expected ${expected(setting)}, got ${JSON.stringify(given)}. ${setting.help}`,
  );
}

function expected(setting: Setting): string {
  if (isSwitch(setting)) return "true or false";
  if (!isText(setting)) return `a whole number from ${setting.minimum} to ${setting.maximum}`;
  return setting.choices?.join(", ") ?? forms[setting.is ?? "text"].expected;
}

function isText(setting: Setting): setting is TextSetting {
  return typeof setting.default === "string";
}

/** A setting that is on or off; as a flag it takes no value. */
export function isSwitch(setting: Setting): setting is Extract<Setting, { default: boolean }> {
  return typeof setting.default === "boolean";
}

const name = String.raw`(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])`;
const listOf = (item: string) => new RegExp(`^${item}(?:, *${item})*$`, "i");

/** What a text may look like, in words and as it is checked, and how it is kept. */
const forms = {
  text: { expected: "some text", shape: /./s, keep: (text: string) => text },
  path: { expected: "a path", shape: /./s, keep: toPath },
  hosts: {
    expected: "host names without scheme and port, such as hive.example.com",
    shape: listOf(name),
    keep: (text: string) => text.toLowerCase(),
  },
  origins: {
    expected: "origins, such as https://hive.example.com",
    shape: listOf(`https?://${name}(?::\\d{1,5})?`),
    keep: (text: string) => text.toLowerCase(),
  },
} as const;

/** The entries of a setting that is a list. */
export function listed(text: string): readonly string[] {
  return text === "" ? [] : text.split(/, */);
}

function checkedText({ choices, is = "text" }: TextSetting, given: unknown): string | undefined {
  if (typeof given !== "string" || !forms[is].shape.test(given)) return undefined;
  return choices === undefined || choices.includes(given) ? forms[is].keep(given) : undefined;
}

function checkedSwitch(given: unknown): boolean | undefined {
  if (given === true || given === "true") return true;
  return given === false || given === "false" ? false : undefined;
}

function checkedNumber({ minimum, maximum }: NumberSetting, given: unknown): number | undefined {
  const value = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
  if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
  return value >= minimum && value <= maximum ? value : undefined;
}

type ConfigFile = { readonly name: string; readonly values: Readonly<Record<string, unknown>> };

function readConfigFile(named: string | undefined): ConfigFile {
  const name = named ?? "hivepost.config.json";
  if (named === undefined && !existsSync(name)) return { name, values: {} };
  try {
    const values = parseJson(readFileSync(name, "utf8"));
    if (typeof values !== "object" || values === null || Array.isArray(values))
      throw new Error("it holds no JSON object");
    const unknown = Object.keys(values).find((it) => it !== "retry" && !Object.hasOwn(settings, it));
    if (unknown) throw new Error(`it sets ${unknown}, which does not exist (hivepost config lists what does)`);
    return { name, values: values as Record<string, unknown> };
  } catch (cause) {
    throw new BusError("invalid_input", `cannot use the config file ${name}: ${(cause as Error).message}`, { cause });
  }
}

/** `retry` in the config file: message type → any of max_attempts, base_delay_ms, max_delay_ms. */
function retryOf(values: Settings, given: unknown, file: string): DeliveryPolicy["retry"] {
  const general: RetryPolicy = {
    max_attempts: values.max_attempts,
    base_delay_ms: values.backoff_base_ms,
    max_delay_ms: values.backoff_max_ms,
  };
  const retry = { task: general, status: general, question: general, response: general };
  for (const [type, fields] of Object.entries((given ?? {}) as Record<string, Record<string, unknown>>)) {
    if (!Object.hasOwn(retry, type)) {
      throw new BusError(
        "invalid_input",
        `retry in ${file}: ${type} is no message type (task, status, question, response)`,
      );
    }
    for (const [field, value] of Object.entries(fields ?? {})) {
      const setting = (
        {
          max_attempts: settings.max_attempts,
          base_delay_ms: settings.backoff_base_ms,
          max_delay_ms: settings.backoff_max_ms,
        } as Record<string, Setting>
      )[field];
      if (!setting) throw new BusError("invalid_input", `retry.${type} in ${file}: ${field} does not exist`);
      const policy = {
        ...retry[type as keyof typeof retry],
        [field]: checked(setting, value, `retry.${type}.${field} in ${file}`),
      };
      Object.assign(retry, { [type]: policy });
    }
  }
  return retry;
}

/** The part of the settings that a store needs to know. */
export function deliveryPolicy(config: Config): DeliveryPolicy {
  return {
    retry: config.retry,
    aging_ms: config.aging_ms || undefined,
    inbox_depth: config.inbox_depth,
    open_leases_per_agent: config.open_leases_per_agent,
    idempotency_ms: config.idempotency_ms,
    loop: {
      window_ms: config.loop_window_ms,
      slow_after: config.loop_slow_after,
      hold_after: config.loop_hold_after,
      base_delay_ms: config.backoff_base_ms,
      max_delay_ms: config.backoff_max_ms,
    },
  };
}
