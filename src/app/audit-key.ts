import path from "node:path";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { readSecretFile, writeSecretFile } from "./secret-file.ts";

const key_bytes = 32;
const keyName = "audit.key";

/** The key of the hive's audit log, from `audit.key` in the data folder; made once, by whoever holds the folder. */
export async function openAuditKey(folder: string, randomBytes: RandomBytes): Promise<Uint8Array> {
  const known = await readAuditKey(folder);
  if (known) return known;
  const key = new Uint8Array(key_bytes);
  randomBytes(key);
  await writeSecretFile(path.join(folder, keyName), Buffer.from(key).toString("base64url"));
  return key;
}

/** Undefined where the hive has none yet. @throws BusError `unavailable` where the file holds no whole key. */
export async function readAuditKey(folder: string): Promise<Uint8Array | undefined> {
  const file = path.join(folder, keyName);
  const text = await readSecretFile(file);
  if (text === undefined) return undefined;
  const key = Buffer.from(text, "base64url");
  if (key.length === key_bytes && key.toString("base64url") === text) return key;
  throw new BusError(
    "unavailable",
    `${file} holds no whole key; put the right one back, or move the audit log away with it`,
  );
}
