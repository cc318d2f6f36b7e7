import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { defaultKeyFile, type MasterKeyOptions, openMasterKey } from "../../src/crypto/master-key.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { chance } from "./keys.ts";

const secret = Buffer.alloc(32, 0xfb);
const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8);

type Places = { readonly folder: string; readonly file: string; readonly options: MasterKeyOptions };

/** A data folder, and a key file to be beside it. */
async function withPlaces(act: (places: Places) => Promise<void>): Promise<void> {
  await using temporary = await temporaryFolder();
  const data_dir = path.join(temporary.path, "data");
  await mkdir(data_dir);
  const file = path.join(temporary.path, "config", "hivepost", "hive-1.key");
  await act({ folder: temporary.path, file, options: { file, data_dir, data_keys_exist: false, randomBytes: chance } });
}

async function writeKey(file: string, text: string, mode = 0o600): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text, { mode });
  await chmod(file, mode);
}

/** With the rights of nobody in particular, where these tests run as root. */
async function asNobody<T>(act: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return act();
  process.seteuid?.(65_534);
  try {
    return await act();
  } finally {
    process.seteuid?.(0);
  }
}

describe("a master key from the environment", () => {
  for (const [what, text] of [
    ["base64", secret.toString("base64")],
    ["base64url", secret.toString("base64url")],
    ["base64 without padding, between spaces", ` ${secret.toString("base64").replace("=", "")}\n`],
  ] as const) {
    it(`may be ${what}`, () =>
      withPlaces(async ({ options }) => {
        const { key, source } = await openMasterKey({ ...options, key: text });
        assert.deepEqual([key.export(), source], [secret, "the key in HIVEPOST_MASTER_KEY"]);
      }));
  }

  it("wins over the file, and none is made", () =>
    withPlaces(async ({ file, options }) => {
      await openMasterKey({ ...options, key: secret.toString("base64") });
      await assert.rejects(stat(file), { code: "ENOENT" });
    }));

  for (const [what, text, message] of [
    ["is empty", "", /HIVEPOST_MASTER_KEY is 0 bytes long, and a key is 32; .* openssl/],
    ["is too short", secret.subarray(1).toString("base64"), /is 31 bytes long/],
    ["is too long", `${"+".repeat(43)}A`, /is 33 bytes long/],
    ["is hexadecimal", secret.toString("hex"), /is 48 bytes long/],
    ["is a pass phrase", "correct horse battery staple", /is not base64/],
    ["ends in the middle of a byte", `${"+".repeat(42)}/`, /is not base64/],
  ] as const) {
    it(`is refused, and not shown, where it ${what}`, () =>
      withPlaces(async ({ options }) => {
        await assert.rejects(openMasterKey({ ...options, key: text }), (error: Error) => {
          assert.match(error.message, message);
          assert.ok(text === "" || !inspect(error, { depth: 9 }).includes(text.slice(0, 6)));
          return (error as Error & { code: string }).code === "key_unavailable";
        });
      }));
  }
});

describe("a key file", () => {
  it("is made on first need, whole and readable by its owner alone, and read from then on", () =>
    withPlaces(async ({ file, options }) => {
      const made = await openMasterKey(options);
      assert.deepEqual([await modeOf(file), await modeOf(path.dirname(file))], ["600", "700"]);
      assert.equal(await readFile(file, "utf8"), `${made.key.export().toString("base64")}\n`);
      assert.equal(made.source, `the key file ${file}`);
      const again = await openMasterKey({ ...options, data_keys_exist: true });
      assert.ok(again.key.equals(made.key));
      assert.deepEqual(await readdir(path.dirname(file)), ["hive-1.key"]);
    }));

  it("is one where several processes make it at once", () =>
    withPlaces(async ({ file, options }) => {
      const keys = await Promise.all(Array.from({ length: 8 }, () => openMasterKey(options)));
      assert.ok(keys.every((it) => keys[0]?.key.equals(it.key)));
      assert.deepEqual(await readdir(path.dirname(file)), ["hive-1.key"]);
    }));

  it("is not made where data keys exist already: the error names the file and the way out", () =>
    withPlaces(async ({ file, options }) => {
      await assert.rejects(openMasterKey({ ...options, data_keys_exist: true }), {
        code: "key_unavailable",
        message: new RegExp(`${file} is missing.* bring it back .*HIVEPOST_MASTER_KEY_FILE`),
      });
      await assert.rejects(stat(file), { code: "ENOENT" });
    }));

  it("is closed to others where it was open to them", () =>
    withPlaces(async ({ file, options }) => {
      await writeKey(file, secret.toString("base64"), 0o644);
      assert.deepEqual((await openMasterKey(options)).key.export(), secret);
      assert.equal(await modeOf(file), "600");
    }));

  for (const [what, text, message] of [
    ["is empty", "", /hive-1\.key is 0 bytes long/],
    ["holds half a key", secret.toString("base64").slice(0, 20), /hive-1\.key is 15 bytes long/],
    [
      "holds something else",
      "x".repeat(2_000),
      /is no key file, but a folder, a pipe, a device or longer than 1024 bytes/,
    ],
  ] as const) {
    it(`is refused, and left as it is, where it ${what}`, () =>
      withPlaces(async ({ file, options }) => {
        await writeKey(file, text);
        await assert.rejects(openMasterKey(options), { code: "key_unavailable", message });
        assert.equal(await readFile(file, "utf8"), text);
      }));
  }

  it("is refused where it is a folder, or can lie nowhere", () =>
    withPlaces(async ({ folder, file, options }) => {
      await mkdir(file, { recursive: true });
      await assert.rejects(openMasterKey(options), { code: "key_unavailable", message: /hive-1\.key is no key file/ });
      await writeFile(path.join(folder, "plain"), "");
      const nowhere = { ...options, file: path.join(folder, "plain", "hive.key") };
      await assert.rejects(openMasterKey(nowhere), { code: "key_unavailable", message: /cannot be read: ENOTDIR/ });
    }));

  it("is refused where others can read it and only its owner, somebody else, can change that", () =>
    withPlaces(async ({ folder, file, options }) => {
      await writeKey(file, secret.toString("base64"), 0o644);
      await chmod(folder, 0o755);
      const foreign = { ...options, file: process.getuid?.() === 0 ? file : "/etc/hostname" };
      await assert.rejects(
        asNobody(() => openMasterKey(foreign)),
        // Nobody but root can put a key of somebody else's there.
        {
          code: "key_unavailable",
          message: foreign.file === file ? /can be read by others, .* mode 0600/ : /not base64/,
        },
      );
    }));

  it("is changed only if it is one: of what else has that name others may go on reading", () =>
    withPlaces(async ({ file, options }) => {
      await writeKey(file, "no key at all\n", 0o644);
      await assert.rejects(openMasterKey(options), { code: "key_unavailable", message: /is not base64/ });
      assert.equal(await modeOf(file), "644");
    }));

  it("is refused at once where it is a pipe that nobody writes to, or a device without an end", () =>
    withPlaces(async ({ folder, options }) => {
      const pipe = path.join(folder, "pipe");
      execFileSync("mkfifo", [pipe]);
      const before = process.memoryUsage().rss;
      for (const file of [pipe, "/dev/zero", "/dev/null"]) {
        await assert.rejects(openMasterKey({ ...options, file }), {
          code: "key_unavailable",
          message: /is no key file, but a folder, a pipe, a device/,
        });
      }
      assert.ok(process.memoryUsage().rss - before < 64 * 1_024 * 1_024, "it was read without end");
    }));

  it("is read no further than a key file goes, whatever the system says of its size", () =>
    withPlaces(async ({ options }) => {
      // A file of 0 bytes, says the system.
      await assert.rejects(openMasterKey({ ...options, file: "/proc/self/status" }), {
        code: "key_unavailable",
        message: /longer than 1024 bytes/,
      });
    }));

  it("is refused in the data folder, also by way of a link", () =>
    withPlaces(async ({ folder, options }) => {
      const inside = { code: "key_unavailable", message: /lies in the data folder .*HIVEPOST_MASTER_KEY_FILE/ };
      await assert.rejects(
        openMasterKey({ ...options, file: path.join(options.data_dir, "keys", "hive.key") }),
        inside,
      );
      await symlink(options.data_dir, path.join(folder, "link"));
      await assert.rejects(openMasterKey({ ...options, file: path.join(folder, "link", "hive.key") }), inside);
      await assert.rejects(
        openMasterKey({ ...options, data_dir: path.join(folder, "link"), file: options.data_dir }),
        inside,
      );
      assert.deepEqual(await readdir(options.data_dir), []);
      // A name that only begins alike is another place.
      await openMasterKey({ ...options, file: `${options.data_dir}-keys/hive.key` });
      await openMasterKey({ ...options, file: path.join(folder, "..hive.key") });
    }));

  it("leaves nothing behind where making it fails half way", () =>
    withPlaces(async ({ file, options }) => {
      let draws = 0;
      const failing: MasterKeyOptions["randomBytes"] = () => {
        if (++draws === 2) throw new Error("no entropy");
      };
      await assert.rejects(openMasterKey({ ...options, randomBytes: failing }), {
        message: /cannot be made: no entropy/,
      });
      assert.deepEqual(await readdir(path.dirname(file)), []);
    }));
});

describe("a master key", () => {
  it("shows neither in logs nor in JSON", () =>
    withPlaces(async ({ options }) => {
      const master = await openMasterKey({ ...options, key: secret.toString("base64") });
      assert.doesNotMatch(inspect(master, { depth: 9, showHidden: true }) + JSON.stringify(master), /fbfb|\+\/v7|251/);
    }));
});

describe("the default key file", () => {
  const cases: [platform: NodeJS.Platform, home: string, environment: Record<string, string>, file: string][] = [
    ["linux", "/home/ada", {}, "/home/ada/.config/hivepost/h1.key"],
    ["linux", "/home/ada", { XDG_CONFIG_HOME: "/etc/ada" }, "/etc/ada/hivepost/h1.key"],
    ["linux", "/home/ada", { XDG_CONFIG_HOME: "relative" }, "/home/ada/.config/hivepost/h1.key"],
    ["linux", "/home/ada", { XDG_CONFIG_HOME: "" }, "/home/ada/.config/hivepost/h1.key"],
    ["darwin", "/Users/ada", {}, "/Users/ada/Library/Application Support/hivepost/h1.key"],
    ["win32", "C:\\Users\\ada", { APPDATA: "D:\\Roaming" }, "D:\\Roaming\\hivepost\\h1.key"],
    ["win32", "C:\\Users\\ada", {}, "C:\\Users\\ada\\AppData\\Roaming\\hivepost\\h1.key"],
  ];
  for (const [platform, home, environment, file] of cases) {
    it(`is ${file} on ${platform} with ${JSON.stringify(environment)}`, () => {
      assert.equal(defaultKeyFile("h1", { platform, home, environment }), file);
    });
  }
});
