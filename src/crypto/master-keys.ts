import { existsSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import path from "node:path";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import { type KeyProvider, masterKeyProvider } from "./key-provider.ts";
import { type MasterKeyOptions, openMasterKey } from "./master-key.ts";

/*
 * Where a hive finds its master key over the years. The key in use lies in the key file. One that was replaced stays beside it
 * as `<key file>.<id of the key>`, since backups made before need it; and so lies a new one until the data keys are wrapped
 * by it. So whichever key the data keys are wrapped by, at whatever moment a replacement was cut short, it is found by its id.
 */
export type MasterKeys = {
  /**
   * @param wrapped_by Id of the provider that wrapped the data keys; undefined for a new hive, whose key file is made.
   * @throws BusError `key_unavailable`, naming the file and the way out.
   */
  current(wrapped_by: string | undefined): Promise<KeyProvider>;
  /**
   * Makes another master key. Nothing relies on it until the data keys are wrapped by it; then `settle` has it found.
   *
   * @param key_file Where it is to be instead: made there, unless the file has a key already.
   * @throws BusError `invalid_input` where the key in use comes from the environment, and no file is named, or where its path is
   *   not whole; `key_unavailable`.
   */
  next(key_file?: string): Promise<{ readonly provider: KeyProvider; settle(): Promise<void> }>;
};

type Options = Pick<MasterKeyOptions, "key" | "file" | "data_dir"> & {
  readonly randomBytes: RandomBytes;
  /** Told which file was made for a new hive. */
  readonly onMade: (file: string) => void;
};

export function openMasterKeys({ key, file: named, data_dir, randomBytes, onMade }: Options): MasterKeys {
  const file = path.resolve(named);
  const providerIn = async (one: string, data_keys_exist: boolean) =>
    masterKeyProvider(await openMasterKey({ file: one, data_dir, data_keys_exist, randomBytes }), randomBytes);
  const beside = (id: string) => `${file}.${id}`;

  return {
    async current(wrapped_by) {
      const data_keys_exist = wrapped_by !== undefined;
      if (key !== undefined) {
        const master = await openMasterKey({ key, file, data_dir, data_keys_exist, randomBytes });
        return masterKeyProvider(master, randomBytes);
      }
      const isKeptBeside = data_keys_exist && existsSync(beside(wrapped_by));
      if (isKeptBeside) return providerIn(beside(wrapped_by), true);
      const isMissing = !existsSync(file);
      const provider = await providerIn(file, data_keys_exist);
      if (isMissing) onMade(file);
      return provider;
    },

    async next(key_file) {
      if (key_file !== undefined) {
        requireWhole(key_file);
        const provider = await providerIn(key_file, false);
        return { provider, settle: async () => undefined };
      }
      if (key !== undefined) {
        throw new BusError(
          "invalid_input",
          "the master key is given in HIVEPOST_MASTER_KEY, which the server cannot change; name a key_file to go over to, " +
            "and start with HIVEPOST_MASTER_KEY_FILE instead from then on",
        );
      }
      const fresh = `${file}.next`;
      const provider = { ...(await providerIn(fresh, false)), source: `the key file ${file}` };
      const kept = beside(provider.id);
      await rename(fresh, kept);
      await syncFolder(file);
      return {
        provider,
        async settle() {
          // By its own id: after a replacement that was cut short it need not be the key in use.
          if (existsSync(file)) await rename(file, beside((await providerIn(file, true)).id));
          await rename(kept, file);
          await syncFolder(file);
        },
      };
    },
  };
}

/** The folder that the server was started in says nothing to whoever asks, perhaps from another machine. */
function requireWhole(key_file: string): void {
  if (path.isAbsolute(key_file) && !key_file.includes("\0")) return;
  throw new BusError(
    "invalid_input",
    `key_file: ${JSON.stringify(key_file)} is no whole path; begin with the root (/)`,
  );
}

/** What was renamed has its name for certain once the folder is on disk. */
async function syncFolder(file: string): Promise<void> {
  await using folder = await open(path.dirname(file), "r");
  await folder.sync();
}
