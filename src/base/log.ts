/** Structured logging, as pino does it. Fields never hold tokens, keys or message content. */
export type Log = {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
};

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
