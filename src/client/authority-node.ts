import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { BusError } from "../contract/errors.ts";

/**
 * The certificates of the authorities to trust in place of the well-known ones, PEM.
 *
 * @throws BusError `invalid_input` for a file that cannot be read or holds none.
 */
export function readAuthority(file: string): string {
  try {
    const pem = readFileSync(file, "utf8");
    // Parsed once here, since an unusable one would only show as a server that nobody trusts.
    new X509Certificate(pem);
    return pem;
  } catch (cause) {
    throw new BusError(
      "invalid_input",
      `${file} is no certificate (PEM) of an authority: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

/**
 * Why TLS to a server cannot be had, with the way out; undefined for any other failure.
 *
 * @param code Of the system's error.
 */
export function explainTlsFailure(url: string, code: string): string | undefined {
  if (/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_(?!HAS_EXPIRED))/.test(code)) {
    return `${url} shows a certificate that no known authority has signed (${code}); name its authority's certificate with ca_file, --ca-file or HIVEPOST_CA_FILE`;
  }
  if (code === "CERT_HAS_EXPIRED") return `the certificate of ${url} has expired; renew it there`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `the certificate of ${url} is for another name; use a name that it stands for, or have one made for this name`;
  }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "EPROTO") {
    return `what listens at ${url} does not speak TLS; is its address http://…?`;
  }
  return undefined;
}
