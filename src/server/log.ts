import { pino } from "pino";
import type { Log } from "../base/log.ts";

/** Where log lines go: standard error, or a stand-in. */
export type LogOutput = { readonly isTTY?: boolean; write(text: string): unknown };

/** Whatever looks like a token, cut short or not: kind, key id, and at least half a secret. */
export const tokenLike = /hvp_[a-z]+_[0-9A-Za-z]{11}_[0-9A-Za-z]{20,}\w*/;
const everyToken = new RegExp(tokenLike, "g");

/** Structured logs, one JSON object a line; for a person at a terminal, one short line each. No token gets in, whoever quotes it. */
export function openLog(level: string, output: LogOutput): Log {
  const destination = output.isTTY ? { write: (line: string) => output.write(toPlainLine(line)) } : output;
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  // Errors arrive as `error`, and an Error's own fields are not enumerable.
  return pino(
    { ...options, serializers: { error: pino.stdSerializers.err, err: pino.stdSerializers.err } },
    { write: (line) => destination.write(line.replace(everyToken, "hvp_…")) },
  );
}

const levels: Readonly<Record<string, string>> = { 10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error" };

function toPlainLine(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const clock = String(time).slice(11, 19);
  const details = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
  return `${clock} ${(levels[String(level)] ?? "").padEnd(5)} ${String(msg)}${details.join("")}\n`;
}
