import assert from "node:assert/strict";
import { chmod, copyFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import type { Log } from "../../src/base/log.ts";
import { type CertificateFiles, certificateFiles, readCertificate } from "../../src/tls/certificate.ts";
import { followCertificate } from "../../src/tls/renewal.ts";
import { certificatePair, fixture, type Pair } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { clockAt, temporaryFolder } from "../support/fixtures.ts";

const now_ms = Date.parse("2027-01-05T09:00:00Z");
const century_ms = 101 * 365.25 * 86_400_000;

const refused = (files: Partial<CertificateFiles>, message: RegExp, at_ms = now_ms) =>
  assert.throws(() => readCertificate({ ...certificatePair("server"), ...files }, at_ms), {
    code: "certificate_unusable",
    message,
  });

describe("a certificate", () => {
  it("is taken with the key that belongs to it", () => {
    const { expires_ms, cert_pem } = readCertificate(certificatePair("server"), now_ms);
    assert.equal(new Date(expires_ms).getUTCFullYear(), 2126);
    assert.match(cert_pem, /BEGIN CERTIFICATE/);
  });

  it("stands for the names and addresses in it, word for word", () => {
    const { covers } = readCertificate(certificatePair("server"), now_ms);
    const names = ["localhost", "hive.example.com", "127.0.0.1", "[::1]", "::1"];
    const others = ["evil.example", "evil.wild.example.com", "x.hive.example.com", "server", "127.0.0.2", "[::2]", ""];
    assert.deepEqual([...names, ...others].filter(covers), names);
  });

  it("is named together with its key, or not at all", () => {
    assert.equal(certificateFiles({ tls_cert: "", tls_key: "" }), undefined);
    const only = (tls_cert: string, tls_key: string, message: RegExp) =>
      assert.throws(() => certificateFiles({ tls_cert, tls_key }), { code: "certificate_unusable", message });
    only("/a.pem", "", /tls_cert names \/a\.pem, but no tls_key .*--tls-key/);
    only("", "/a.key", /tls_key names \/a\.key, but no tls_cert .*--tls-cert/);
  });

  it("that is not there is named, as is its key", () => {
    refused({ cert_file: "/no/such.pem" }, /cannot read the certificate \/no\/such\.pem: there is no such file/);
    refused({ key_file: "/no/such.key" }, /cannot read the private key \/no\/such\.key: there is no such file/);
    refused({ cert_file: "/etc" }, /cannot read the certificate \/etc: it is a folder/);
  });

  it("that may not be read is named", async () => {
    await using folder = await temporaryFolder();
    const key_file = path.join(folder.path, "server.key");
    await writeFile(key_file, "", { mode: 0o000 });
    asNobody(() => refused({ key_file }, /server\.key: no permission; let the user that runs the server read it/));
    await chmod(key_file, 0o600);
  });

  it("that is something else is named, as is its key", () => {
    refused({ cert_file: fixture("server.key") }, /server\.key holds no certificate in PEM form/);
    refused({ key_file: fixture("server.pem") }, /server\.pem holds no private key in PEM form/);
  });

  it("whose key is encrypted is refused with the command that writes it out", () => {
    refused({ key_file: fixture("encrypted.key") }, /encrypted\.key is encrypted; .*openssl pkey -in .*encrypted\.key/);
  });

  it("is refused with the key of another", () => {
    refused(
      { key_file: fixture("renewed.key") },
      /renewed\.key is not the key of the first certificate in .*server\.pem/,
    );
  });

  it("is refused when its time is over or has not come", () => {
    refused({}, /server\.pem expired at 2126-.*; renew it, or correct the clock/, now_ms + century_ms);
    refused({}, /server\.pem begins to be valid at 2026-.*; wait for that, or correct the clock/, 0);
  });
});

describe("a certificate that is followed", () => {
  it("is replaced when its files are, and kept while they do not fit together", async () => {
    await using folder = await temporaryFolder();
    const files = { cert_file: path.join(folder.path, "c.pem"), key_file: path.join(folder.path, "c.key") };
    // Whole, so that nobody reads half of it.
    const put = async (pair: Pair, part: keyof CertificateFiles) => {
      await copyFile(certificatePair(pair)[part], `${files[part]}.new`);
      await rename(`${files[part]}.new`, files[part]);
    };
    await put("server", "cert_file");
    await put("server", "key_file");
    const { log, lines } = collectedLog();
    using followed = followCertificate(files, { clock: clockAt(now_ms), log, check_ms: 5 });
    const told: string[] = [];
    followed.onRenewal(({ cert_pem }) => told.push(cert_pem));
    const before = followed.current;

    await put("renewed", "cert_file");
    await eventually("the misfit is logged", () => lines.some((it) => it.startsWith("error ")));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(followed.current, before);
    // Said once, not at every look.
    assert.equal(lines.filter((it) => it.startsWith("error ")).length, 1);

    await put("renewed", "key_file");
    await eventually("the new pair is taken", () => told.length > 0);
    assert.deepEqual(told, [followed.current.cert_pem]);
    assert.notEqual(followed.current.cert_pem, before.cert_pem);
  });

  it("is complained of while it can still be renewed", () => {
    const warnings = (at_ms: number) => {
      const { log, lines } = collectedLog();
      followCertificate(certificatePair("server"), { clock: clockAt(at_ms), log })[Symbol.dispose]();
      return lines;
    };
    const { expires_ms } = readCertificate(certificatePair("server"), now_ms);
    assert.match(warnings(now_ms).join(), /^info took the certificate$/);
    assert.match(warnings(expires_ms - 29 * 86_400_000).join(), /^warn the certificate expires soon/);
  });
});

/** Root may read everything. */
function asNobody(act: () => void): void {
  const nobody = 65_534;
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(nobody);
  try {
    act();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

function collectedLog() {
  const lines: string[] = [];
  const at = (level: string) => (_: object, text: string) => void lines.push(`${level} ${text}`);
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  return { log, lines };
}
