import assert from "node:assert/strict";
import { serve } from "../../src/serve.ts";
import { configurationFolder } from "../support/configuration.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { type Ran, run } from "./fake-terminal.ts";

/** A server in this process, and command lines against it. */
export type TestHive = AsyncDisposable & {
  readonly url: string;
  readonly token: string;
  readonly dataDir: string;
  readonly environment: Readonly<Record<string, string>>;
  hivepost(...argv: string[]): Promise<Ran>;
  /** What a command that succeeds prints with `--json`. */
  json(...argv: string[]): Promise<Record<string, never>>;
  /** That a command succeeds and prints this. */
  matches(argv: readonly string[], pattern: RegExp): Promise<void>;
};

export async function openTestHive(): Promise<TestHive> {
  const folder = await temporaryFolder();
  const hive = await serve({
    flags: { port: "0", data_dir: folder.path, log_level: "silent" },
    environment: { XDG_CONFIG_HOME: configurationFolder },
  });
  const environment = {
    HIVEPOST_URL: hive.url,
    HIVEPOST_DATA_DIR: hive.dataDir,
    XDG_CONFIG_HOME: configurationFolder,
  };
  const hivepost = (...argv: string[]) => run(argv, { environment });
  return {
    url: hive.url,
    token: hive.token,
    dataDir: hive.dataDir,
    environment,
    hivepost,
    async json(...argv) {
      const { code, out, err } = await hivepost(...argv, "--json");
      assert.deepEqual([code, err], [0, ""], argv.join(" "));
      return JSON.parse(out);
    },
    async matches(argv, pattern) {
      const { code, out, err } = await hivepost(...argv);
      assert.deepEqual([code, err], [0, ""], argv.join(" "));
      assert.match(out, pattern);
    },
    async [Symbol.asyncDispose]() {
      await hive[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
