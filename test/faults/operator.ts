import { readFileSync } from "node:fs";
import path from "node:path";
import { type Client, connect } from "../../src/client/client.ts";

/** The first admin token of a hive. */
export function tokenOf(folder: string): string {
  return readFileSync(path.join(folder, "admin.token"), "utf8").trim();
}

/** An operator's client that has patience with a busy machine. */
export function clientOf(url: string, folder: string): Client {
  return connect(url, { token: tokenOf(folder), connect_timeout_ms: 60_000, request_timeout_ms: 60_000 });
}
