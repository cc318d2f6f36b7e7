import { existsSync } from "node:fs";
import path from "node:path";
import { BusError } from "../../contract/errors.ts";
import { databaseName } from "./schema.ts";

/** The database of a folder. @throws BusError `invalid_input` where there is no hive. */
export function requireDatabase(folder: string): string {
  const file = path.join(folder, databaseName);
  if (existsSync(file)) return file;
  throw new BusError("invalid_input", `there is no hive in ${folder} (no ${databaseName}); say which with --data-dir`);
}
