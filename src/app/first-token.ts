import path from "node:path";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { makeToken, parseToken, type Token } from "../crypto/tokens.ts";
import type { Access } from "./access.ts";
import { readSecretFile, writeSecretFile } from "./secret-file.ts";

/**
 * The hive's first admin token, from `admin.token` in the data folder; made once, readable by its owner alone. Whoever
 * opened the store holds the folder, so nobody else makes one at the same time. One that was lost, or revoked, is made anew at
 * the next start after its file was moved away.
 */
export async function openFirstToken(folder: string, access: Access, randomBytes: RandomBytes): Promise<string> {
  const file = path.join(folder, "admin.token");
  const token = (await readToken(file)) ?? (await createToken(file, randomBytes));
  await access.adopt(token);
  return token.text;
}

async function readToken(file: string): Promise<Token | undefined> {
  const text = await readSecretFile(file);
  if (text === undefined) return undefined;
  const token = parseToken(text);
  if (token) return token;
  throw new BusError("unavailable", `${file} holds no whole token; move it away, and the next start makes a new one`);
}

async function createToken(file: string, randomBytes: RandomBytes): Promise<Token> {
  const token = makeToken("admin", randomBytes);
  await writeSecretFile(file, token.text);
  return token;
}
