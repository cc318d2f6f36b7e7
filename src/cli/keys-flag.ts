import type { Flag } from "./arguments.ts";

/** Of every command that seals or opens. */
export const keysFlag: Flag = {
  name: "keys-dir",
  takes: "value",
  placeholder: "FOLDER",
  help: "Where this machine's agents keep their keys (or HIVEPOST_KEYS_DIR; default: in your configuration folder)",
};
