import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { deliveryPolicy, loadConfig } from "../src/config.ts";
import { temporaryFolder } from "./support/fixtures.ts";

async function withFile<T>(text: string, look: (file: string) => T): Promise<T> {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, "hivepost.config.json");
  writeFileSync(file, text);
  return look(file);
}

describe("a setting", () => {
  it("is taken from the flag before the environment before the file before the default", async () => {
    await withFile('{"port": 1, "lease_ms": 2, "inbox_depth": 3}', (config) => {
      const environment = { HIVEPOST_CONFIG: config, HIVEPOST_PORT: "10", HIVEPOST_LEASE_MS: "20" };
      const { port, lease_ms, inbox_depth, max_attempts } = loadConfig({ port: "100" }, environment);
      assert.deepEqual([port, lease_ms, inbox_depth, max_attempts], [100, 20, 3, 5]);
    });
  });

  it("that is on or off is set by a word, or by true and false in the file", async () => {
    assert.equal(loadConfig({}, {}).insecure, false);
    assert.equal(loadConfig({}, { HIVEPOST_INSECURE: "true" }).insecure, true);
    await withFile('{"insecure": true}', (config) => {
      assert.equal(loadConfig({ config }, {}).insecure, true);
      assert.equal(loadConfig({ config, insecure: "false" }, {}).insecure, false);
    });
  });

  it("that is a path may begin with ~ and becomes absolute", () => {
    assert.equal(loadConfig({ tls_cert: "~/c.pem" }, {}).tls_cert, path.join(homedir(), "c.pem"));
    assert.equal(loadConfig({ tls_key: "c.key" }, {}).tls_key, path.resolve("c.key"));
  });

  const refused: [flags: Record<string, string>, message: RegExp][] = [
    [{ port: "many" }, /--port: expected a whole number from 0 to 65535, got "many"/],
    [{ port: "-1" }, /--port/],
    [{ lease_ms: "0" }, /--lease-ms: .* from 1 /],
    [{ lease_ms: "1.5" }, /--lease-ms/],
    [{ host: "" }, /--host: expected some text/],
    [{ log_level: "loud" }, /--log-level: expected trace/],
    [{ insecure: "yes" }, /--insecure: expected true or false, got "yes"/],
    [{ allowed_hosts: "https://hive.example.com" }, /--allowed-hosts: expected host names without scheme and port/],
    [{ allowed_hosts: "*" }, /--allowed-hosts/],
    [{ allowed_origins: "hive.example.com" }, /--allowed-origins: expected origins, such as https:/],
    [{ allowed_origins: "https://hive.example.com/" }, /--allowed-origins/],
    [{ allowed_origins: "*" }, /--allowed-origins/],
    [{ config: "/does/not/exist.json" }, /cannot use the config file \/does\/not\/exist.json/],
  ];
  for (const [flags, message] of refused) {
    it(`is refused as ${JSON.stringify(flags)}, saying what it may be`, () => {
      assert.throws(() => loadConfig(flags, {}), { code: "invalid_input", message });
    });
  }
});

describe("a config file", () => {
  it("may give each message type a retry policy of its own", async () => {
    await withFile('{"max_attempts": 7, "retry": {"task": {"max_attempts": 2, "base_delay_ms": 10}}}', (config) => {
      const { retry } = deliveryPolicy(loadConfig({ config }, {}));
      assert.deepEqual([retry.task.max_attempts, retry.task.base_delay_ms, retry.status.max_attempts], [2, 10, 7]);
    });
  });

  const refused: [text: string, message: RegExp][] = [
    ["not json", /cannot use the config file/],
    ["[1]", /no JSON object/],
    ['{"prot": 1}', /prot, which does not exist/],
    ['{"port": true}', /port in .*hivepost.config.json: expected/],
    ['{"retry": {"mail": {}}}', /mail is no message type/],
    ['{"retry": {"task": {"often": 1}}}', /often does not exist/],
    ['{"retry": {"task": {"max_attempts": 0}}}', /retry.task.max_attempts/],
  ];
  for (const [text, message] of refused) {
    it(`is refused as ${text}`, async () => {
      await withFile(text, (config) => {
        assert.throws(() => loadConfig({ config }, {}), { code: "invalid_input", message });
      });
    });
  }
});
