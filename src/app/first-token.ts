import { chmod, open, readFile, rename, stat } from "node:fs/promises";
import path from "node:path";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { makeToken, parseToken, type Token } from "../crypto/tokens.ts";
import type { Access } from "./access.ts";

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
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const token = parseToken(text.trim());
  if (!token) {
    throw new BusError("unavailable", `${file} holds no whole token; move it away, and the next start makes a new one`);
  }
  if ((await stat(file)).mode & 0o077) await chmod(file, 0o600);
  return token;
}

/** Whole or not at all, and on disk before anybody is told of it. */
async function createToken(file: string, randomBytes: RandomBytes): Promise<Token> {
  const token = makeToken("admin", randomBytes);
  const unfinished = `${file}.new`;
  const handle = await open(unfinished, "w", 0o600);
  try {
    await handle.chmod(0o600);
    await handle.writeFile(`${token.text}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  // The new name is on disk once its folder is.
  await using folder = await open(path.dirname(file), "r");
  await folder.sync();
  return token;
}
