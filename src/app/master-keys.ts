import { homedir } from "node:os";
import type { RandomBytes } from "../base/uuid.ts";
import type { Config } from "../config.ts";
import { defaultKeyFile } from "../crypto/master-key.ts";
import { type MasterKeys, openMasterKeys } from "../crypto/master-keys.ts";

type Options = {
  readonly hive_id: string;
  readonly config: Pick<Config, "data_dir" | "master_key_file">;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly randomBytes: RandomBytes;
  readonly onMade: (file: string) => void;
};

/** The master keys as the settings name them. The key itself may stand in the environment; it is no setting, lest it be shown. */
export function configuredMasterKeys({ hive_id, config, environment, randomBytes, onMade }: Options): MasterKeys {
  const { data_dir, master_key_file } = config;
  const folders = { platform: process.platform, home: homedir(), environment };
  return openMasterKeys({
    key: environment["HIVEPOST_MASTER_KEY"],
    file: master_key_file === "" ? defaultKeyFile(hive_id, folders) : master_key_file,
    data_dir,
    randomBytes,
    onMade,
  });
}
