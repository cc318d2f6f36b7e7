import { chmod, open, readFile, rename, stat } from "node:fs/promises";
import path from "node:path";

/** The text of a file that holds a secret, without white space around it; undefined where there is no such file. */
export async function readSecretFile(file: string): Promise<string | undefined> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text !== undefined && (await stat(file)).mode & 0o077) await chmod(file, 0o600);
  return text?.trim();
}

/** Writes a secret for its owner alone: whole or not at all, and on disk before anybody is told of it. */
export async function writeSecretFile(file: string, secret: string): Promise<void> {
  const unfinished = `${file}.new`;
  const handle = await open(unfinished, "w", 0o600);
  try {
    await handle.chmod(0o600);
    await handle.writeFile(`${secret}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  // The new name is on disk once its folder is.
  await using folder = await open(path.dirname(file), "r");
  await folder.sync();
}
