import { chmod, open, readFile, rename, stat } from "node:fs/promises";
import path from "node:path";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { hashToken, makeToken, parseToken, sameHash } from "../crypto/tokens.ts";
import type { Caller } from "./mailroom.ts";

export type FirstToken = {
  readonly token: string;
  readonly authenticate: (token: string) => Caller | undefined;
};

const operator: Caller = { actor: "operator", scopes: ["admin"] };

/**
 * The hive's first admin token, from `admin.token` in the data folder; made once, readable by its owner alone. Whoever
 * opened the store holds the folder, so nobody else makes one at the same time.
 */
export async function openFirstToken(folder: string, randomBytes: RandomBytes): Promise<FirstToken> {
  const file = path.join(folder, "admin.token");
  const token = (await readToken(file)) ?? (await createToken(file, randomBytes));
  const hash = hashToken(token);
  return {
    token,
    authenticate: (presented) => (parseToken(presented) && sameHash(hashToken(presented), hash) ? operator : undefined),
  };
}

async function readToken(file: string): Promise<string | undefined> {
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
  return token.text;
}

/** Whole or not at all, and on disk before anybody is told of it. */
async function createToken(file: string, randomBytes: RandomBytes): Promise<string> {
  const { text } = makeToken("admin", randomBytes);
  const unfinished = `${file}.new`;
  const handle = await open(unfinished, "w", 0o600);
  try {
    await handle.chmod(0o600);
    await handle.writeFile(`${text}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  // The new name is on disk once its folder is.
  await using folder = await open(path.dirname(file), "r");
  await folder.sync();
  return text;
}
