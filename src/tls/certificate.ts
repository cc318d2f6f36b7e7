import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { BusError } from "../contract/errors.ts";

/** Files of a certificate with its chain and of its private key, both PEM. */
export type CertificateFiles = { readonly cert_file: string; readonly key_file: string };

/** A certificate that a server can show now. */
export type Certificate = {
  readonly cert_pem: string;
  readonly key_pem: string;
  /** Wall clock. */
  readonly expires_ms: number;
  /** Whether it stands for this host name or address, word for word: a wildcard stands for anybody's names. */
  covers(name: string): boolean;
};

/**
 * The files that the settings name; undefined where they name none.
 *
 * @throws BusError `certificate_unusable` where they name only one.
 */
export function certificateFiles(settings: {
  readonly tls_cert: string;
  readonly tls_key: string;
}): CertificateFiles | undefined {
  const { tls_cert: cert_file, tls_key: key_file } = settings;
  if (cert_file === "" && key_file === "") return undefined;
  if (key_file === "") throw unusable(`tls_cert names ${cert_file}, but no tls_key its private key; set --tls-key`);
  if (cert_file === "") throw unusable(`tls_key names ${key_file}, but no tls_cert its certificate; set --tls-cert`);
  return { cert_file, key_file };
}

/**
 * Reads a certificate and its key, and checks that a client could accept them.
 *
 * @throws BusError `certificate_unusable`, naming the file and the way out.
 */
export function readCertificate({ cert_file, key_file }: CertificateFiles, now_ms: number): Certificate {
  const cert_pem = readText(cert_file, "the certificate");
  const key_pem = readText(key_file, "the private key");
  const certificate = parseCertificate(cert_pem, cert_file);
  const key = parseKey(key_pem, key_file);
  if (!certificate.checkPrivateKey(key)) {
    throw unusable(
      `${key_file} is not the key of the first certificate in ${cert_file}; name the pair that was made together, with the server's own certificate before its chain`,
    );
  }
  requireInTime(certificate, cert_file, now_ms);
  const covers = (name: string) => standsFor(certificate, name);
  return { cert_pem, key_pem, expires_ms: certificate.validToDate.getTime(), covers };
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = (code && unreadable[code]) ?? message;
    throw unusable(`cannot read ${what} ${file}: ${reason}`, cause);
  }
}

const unreadable: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file; correct tls_cert or tls_key",
  EACCES: "no permission; let the user that runs the server read it",
  EISDIR: "it is a folder; name the file in it",
};

function parseCertificate(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    const way_out = "it should begin with -----BEGIN CERTIFICATE-----";
    throw unusable(`${file} holds no certificate in PEM form; ${way_out}`, cause);
  }
}

function parseKey(pem: string, file: string): KeyObject {
  if (/ENCRYPTED/.test(pem)) {
    throw unusable(
      `the private key ${file} is encrypted; write it out with: openssl pkey -in ${file} -out server.key, chmod 600 server.key, and name that`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw unusable(`${file} holds no private key in PEM form; it should begin with -----BEGIN PRIVATE KEY-----`, cause);
  }
}

function requireInTime({ validFromDate, validToDate }: X509Certificate, file: string, now_ms: number): void {
  if (now_ms >= validToDate.getTime()) {
    throw unusable(`the certificate ${file} expired at ${validToDate.toISOString()}; renew it, or correct the clock`);
  }
  if (now_ms < validFromDate.getTime()) {
    const from = validFromDate.toISOString();
    throw unusable(`the certificate ${file} begins to be valid at ${from}; wait for that, or correct the clock`);
  }
}

function standsFor(certificate: X509Certificate, name: string): boolean {
  const bare = name.replace(/^\[|\]$/g, "");
  if (isIP(bare) !== 0) return certificate.checkIP(bare) !== undefined;
  return certificate.checkHost(name, { wildcards: false, subject: "never" }) !== undefined;
}

function unusable(message: string, cause?: unknown): BusError {
  return new BusError("certificate_unusable", message, { cause });
}
