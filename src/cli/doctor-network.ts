import { stat } from "node:fs/promises";
import type { Config } from "../config.ts";
import { certificateFiles, readCertificate } from "../tls/certificate.ts";
import { expiresSoon } from "../tls/renewal.ts";
import { describeFailure } from "./failure.ts";
import type { Finding } from "./finding.ts";

type NetworkSettings = Pick<Config, "tls_cert" | "tls_key">;

/** Whether the certificate that the settings name can be used, for how long, and whether its key is kept to itself. */
export async function* checkCertificate(config: NetworkSettings, now_ms: number): AsyncGenerator<Finding> {
  const check = "certificate";
  try {
    const files = certificateFiles(config);
    if (!files) return;
    const { expires_ms } = readCertificate(files, now_ms);
    const text = `${files.cert_file}, valid until ${new Date(expires_ms).toISOString()}`;
    const mend = "renew it in time; a running server takes the new files within a minute";
    yield expiresSoon(expires_ms, now_ms) ? { check, verdict: "odd", text, mend } : { check, verdict: "right", text };
    yield* checkKeyFile(files.key_file);
  } catch (error) {
    const mend = "correct tls_cert and tls_key; hivepost config shows where they come from";
    yield { check, verdict: "wrong", text: describeFailure(error).message, mend };
  }
}

async function* checkKeyFile(file: string): AsyncGenerator<Finding> {
  const { mode } = await stat(file);
  // A group may well be meant to read it, as Debian's ssl-cert is.
  if ((mode & 0o007) === 0) return;
  yield {
    check: "private key",
    verdict: "odd",
    text: `${file} can be read by everybody here`,
    mend: `chmod o= ${file}`,
  };
}
