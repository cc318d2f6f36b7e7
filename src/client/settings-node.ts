import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { BusError } from "../contract/errors.ts";

export type ServerSettings = {
  /** Else `HIVEPOST_URL`, else http://127.0.0.1:4483. */
  readonly url?: string;
  /** Else `HIVEPOST_TOKEN`, else the file `HIVEPOST_TOKEN_FILE`, else `admin.token` of the hive's folder. */
  readonly token?: string;
  /** Certificates of the authorities to trust, PEM; else the file `HIVEPOST_CA_FILE`, else the well-known ones. */
  readonly ca_file?: string;
};

export type FoundServer = { readonly url: string; readonly token: string; readonly ca_file?: string };

const default_url = "http://127.0.0.1:4483";

/** Where the server is and what to show it. @throws BusError `unauthenticated` where no token is to be found. */
export function findServer(
  given: ServerSettings,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): FoundServer {
  const url = given.url ?? environment["HIVEPOST_URL"] ?? default_url;
  const ca_file = given.ca_file ?? environment["HIVEPOST_CA_FILE"];
  const authority = ca_file ? { ca_file } : {};
  const token = given.token ?? environment["HIVEPOST_TOKEN"];
  if (token) return { url, token: token.trim(), ...authority };
  const folder = environment["HIVEPOST_DATA_DIR"] ?? path.join(homedir(), ".hivepost");
  const file = environment["HIVEPOST_TOKEN_FILE"] ?? path.join(folder, "admin.token");
  if (existsSync(file)) return { url, token: readFileSync(file, "utf8").trim(), ...authority };
  throw new BusError(
    "unauthenticated",
    `no token: there is no file ${file}; set HIVEPOST_TOKEN or HIVEPOST_TOKEN_FILE, or start a server with: hivepost serve`,
  );
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where this machine's agents keep their keys: as given, else `HIVEPOST_KEYS_DIR`, else in the user's configuration folder. */
export function findKeysFolder(given: string | undefined, environment: Environment = process.env): string {
  return given ?? environment["HIVEPOST_KEYS_DIR"] ?? path.join(configurationFolder(environment), "agent-keys");
}

/**
 * The file of the key that this user's outboxes are sealed with: as given, else `HIVEPOST_OUTBOX_KEY_FILE`, else `outbox.key` in
 * the user's configuration folder.
 */
export function findOutboxKeyFile(given: string | undefined, environment: Environment = process.env): string {
  return (
    given ?? (environment["HIVEPOST_OUTBOX_KEY_FILE"] || path.join(configurationFolder(environment), "outbox.key"))
  );
}

function configurationFolder(environment: Environment): string {
  return path.join(environment["XDG_CONFIG_HOME"] || path.join(homedir(), ".config"), "hivepost");
}
