import path from "node:path";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { hashToken, makeToken, parseToken, sameHash } from "../crypto/tokens.ts";
import type { Caller } from "./mailroom.ts";
import { readSecretFile, writeSecretFile } from "./secret-file.ts";

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
  const text = await readSecretFile(file);
  if (text === undefined) return undefined;
  const token = parseToken(text);
  if (token) return token.text;
  throw new BusError("unavailable", `${file} holds no whole token; move it away, and the next start makes a new one`);
}

async function createToken(file: string, randomBytes: RandomBytes): Promise<string> {
  const { text } = makeToken("admin", randomBytes);
  await writeSecretFile(file, text);
  return text;
}
