import { constants } from "node:fs";
import { access, readFile, stat, statfs } from "node:fs/promises";
import path from "node:path";
import { describeFailure } from "./failure.ts";
import type { Finding } from "./finding.ts";
import { counted } from "./print.ts";
import { showProgress } from "./progress.ts";
import type { Screen } from "./terminal.ts";

export async function* checkFolder(folder: string): AsyncGenerator<Finding> {
  const check = "folder";
  const found = await statIfThere(folder);
  if (!found) {
    yield { check, verdict: "odd", text: `${folder} does not exist yet`, mend: "hivepost serve makes it" };
  } else if (!found.isDirectory()) {
    yield {
      check,
      verdict: "wrong",
      text: `${folder} is no folder`,
      mend: "move it away, or choose another with --data-dir",
    };
  } else if (!(await isWritable(folder))) {
    const mend = `chown it to the user that runs the server, and chmod 700 ${folder}`;
    yield { check, verdict: "wrong", text: `${folder} cannot be written`, mend };
  } else if (found.mode & 0o077) {
    const text = `${folder} is open to others (mode ${(found.mode & 0o777).toString(8)}); mail is not for everybody`;
    yield { check, verdict: "odd", text, mend: `chmod 700 ${folder}` };
  } else yield { check, verdict: "right", text: folder };
}

const low_bytes = 1_024 ** 3;
const too_low_bytes = 100 * 1_024 ** 2;

type Space = { readonly bavail: number; readonly bsize: number };

/** @param spaceOf What the file system says; the real thing but in tests. */
export async function* checkDisk(
  folder: string,
  spaceOf: (folder: string) => Promise<Space> = statfs,
): AsyncGenerator<Finding> {
  const check = "disk";
  const existing = (await statIfThere(folder)) ? folder : path.dirname(folder);
  if (!(await statIfThere(existing))) return;
  const { bavail, bsize } = await spaceOf(existing);
  const free_bytes = bavail * bsize;
  const text = `${(free_bytes / 1_024 ** 3).toFixed(1)} GiB free`;
  const mend = "free some space; when the disk is full, sends are refused until there is space again";
  if (free_bytes < too_low_bytes) yield { check, verdict: "wrong", text, mend };
  else if (free_bytes < low_bytes) yield { check, verdict: "odd", text, mend };
  else yield { check, verdict: "right", text };
}

export async function* checkToken(folder: string): AsyncGenerator<Finding> {
  const check = "admin token";
  const file = path.join(folder, "admin.token");
  const found = await statIfThere(file);
  if (!found) {
    if (await statIfThere(folder)) {
      yield { check, verdict: "odd", text: `${file} does not exist`, mend: "the next start of the server makes one" };
    }
    return;
  }
  const text = await readFile(file, "utf8").catch(() => "");
  if (!/^hvp_admin_\w+\s*$/.test(text)) {
    const mend = "move it away and start the server again: it makes a new one";
    yield { check, verdict: "wrong", text: `${file} holds no token that can be read`, mend };
  } else if (found.mode & 0o077) {
    yield { check, verdict: "odd", text: `${file} can be read by others`, mend: `chmod 600 ${file}` };
  } else yield { check, verdict: "right", text: file };
}

/** @param running Whether a server works on it: it is read all the same, in one transaction. */
export async function* checkDatabase(folder: string, running: boolean, screen: Screen): AsyncGenerator<Finding> {
  const check = "database";
  const { examine, hasHive } = await import("../offline.ts");
  if (!hasHive(folder)) return;
  const progress = showProgress({ screen, label: "examining the database", total: undefined });
  try {
    const { problems, counts } = examine(folder, ({ done }) => progress.update(done));
    const mend = "stop the server, then restore a backup: hivepost restore FILE --force (it keeps this one aside)";
    for (const text of problems) yield { check, verdict: "wrong", text, mend };
    const size = `${counted(counts.messages, "message")}${running ? " so far" : ""}`;
    if (problems.length === 0) yield { check, verdict: "right", text: `whole, ${size}` };
  } catch (error) {
    yield { check, verdict: "wrong", text: describeFailure(error).message };
  } finally {
    progress.finish();
  }
}

/** Whether what is stored can be read at all: the key lies elsewhere, and gets lost on its own. */
export async function* checkKeys(
  config: { readonly data_dir: string; readonly master_key_file: string },
  environment: Readonly<Record<string, string | undefined>>,
): AsyncGenerator<Finding> {
  const check = "master key";
  const { hasHive, openKeys } = await import("../offline.ts");
  if (!hasHive(config.data_dir)) return;
  try {
    const opened = await openKeys(config, environment);
    if (opened)
      yield { check, verdict: "right", text: `${opened.source} opens ${counted(opened.data_keys, "data key")}` };
    else yield { check, verdict: "right", text: "not made yet; the next start of the server makes it" };
  } catch (error) {
    yield { check, verdict: "wrong", text: describeFailure(error).message };
  }
}

async function statIfThere(file: string) {
  return await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
}

async function isWritable(folder: string): Promise<boolean> {
  return await access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}
