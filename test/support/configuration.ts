import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Where servers of this test process, and programs it starts, keep their master keys: not in the person's own folder. */
export const configurationFolder = mkdtempSync(path.join(tmpdir(), "hivepost-configuration-"));
process.once("exit", () => rmSync(configurationFolder, { recursive: true, force: true }));
