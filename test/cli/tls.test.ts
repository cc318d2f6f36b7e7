import assert from "node:assert/strict";
import { chmod, copyFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { checkCertificate } from "../../src/cli/doctor-network.ts";
import { authority_file, certificatePair, fixture } from "../support/certificates.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { runHivepost, spawnServer } from "./spawned.ts";

const tls = { HIVEPOST_TLS_CERT: fixture("server.pem"), HIVEPOST_TLS_KEY: fixture("server.key") };

describe("the command line over TLS", () => {
  it("serves with a certificate and talks to it once it knows the authority", async () => {
    await using folder = await temporaryFolder();
    await using server = await spawnServer(folder.path, { environment: tls });
    assert.match(server.url, /^https:/);
    const at = { HIVEPOST_URL: server.url.replace("https", "wss"), HIVEPOST_DATA_DIR: folder.path };
    const stranger = await runHivepost(["health"], { environment: at });
    assert.equal(stranger.code, 3);
    assert.match(stranger.err, /no known authority .*--ca-file or HIVEPOST_CA_FILE/);
    const trusting = await runHivepost(["agents"], { environment: { ...at, HIVEPOST_CA_FILE: authority_file } });
    assert.deepEqual([trusting.code, trusting.err], [0, ""]);
    const lasting = await runHivepost(["register", "bob", "--ca-file", authority_file], { environment: at });
    assert.equal(lasting.code, 0, lasting.err);
    const plain = await runHivepost(["health", "--url", server.url.replace("https", "http")]);
    assert.match(plain.err, /no server answers .*, is it https:/);
    const wrong = await runHivepost(["health", "--ca-file", tls.HIVEPOST_TLS_KEY], { environment: at });
    assert.match(wrong.err, /invalid_input: .*server\.key is no certificate/);
  });

  it("refuses an address that others can reach, with both ways out, and an unusable certificate", async () => {
    await using folder = await temporaryFolder();
    const serve = ["serve", "--port", "0", "--data-dir", folder.path, "--log-level", "silent"];
    const open = await runHivepost([...serve, "--host", "0.0.0.0"]);
    assert.equal(open.code, 1);
    assert.match(open.err, /0\.0\.0\.0 can be reached .*--tls-cert and --tls-key, or say --insecure/);
    const half = await runHivepost([...serve, "--tls-cert", tls.HIVEPOST_TLS_CERT]);
    assert.match(half.err, /certificate_unusable: .*no tls_key/);
    await using told = await spawnServer(folder.path, {
      environment: { HIVEPOST_HOST: "0.0.0.0", HIVEPOST_INSECURE: "true" },
    });
    assert.match(told.url, /^http:\/\/0\.0\.0\.0:/);
  });
});

describe("the doctor", () => {
  const findings = async (config: { tls_cert: string; tls_key: string }, now_ms: number) => {
    const found: string[] = [];
    for await (const { check, verdict } of checkCertificate(config, now_ms)) found.push(`${check}: ${verdict}`);
    return found;
  };

  it("warns of a certificate that expires soon or cannot be used, and of a key that everybody can read", async () => {
    await using folder = await temporaryFolder();
    const tls_cert = certificatePair("server").cert_file;
    const tls_key = path.join(folder.path, "server.key");
    await copyFile(certificatePair("server").key_file, tls_key);
    await chmod(tls_key, 0o600);
    const now_ms = Date.now();
    assert.deepEqual(await findings({ tls_cert: "", tls_key: "" }, now_ms), []);
    assert.deepEqual(await findings({ tls_cert, tls_key }, now_ms), ["certificate: right"]);
    assert.deepEqual(await findings({ tls_cert, tls_key }, Date.UTC(2126, 9, 20)), ["certificate: odd"]);
    assert.deepEqual(await findings({ tls_cert, tls_key }, Date.UTC(2128, 0)), ["certificate: wrong"]);
    assert.deepEqual(await findings({ tls_cert, tls_key: "" }, now_ms), ["certificate: wrong"]);
    await chmod(tls_key, 0o604);
    assert.deepEqual(await findings({ tls_cert, tls_key }, now_ms), ["certificate: right", "private key: odd"]);
  });
});
