import path from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { followCertificate, type RenewedCertificate } from "../../src/tls/renewal.ts";

/*
 * Made once, with openssl, and valid until 2126: an authority (its key was thrown away), and what it has signed. `server`
 * and `renewed` stand for localhost and 127.0.0.1, `elsewhere` for another machine; `encrypted.key` is the key of `server`
 * under a password.
 */
const folder = path.resolve(import.meta.dirname, "../fixtures/tls");

export const fixture = (name: string): string => path.join(folder, name);
export const authority_file = fixture("authority.pem");

export type Pair = "server" | "renewed" | "elsewhere";

export const certificatePair = (name: Pair) => ({
  cert_file: fixture(`${name}.pem`),
  key_file: fixture(`${name}.key`),
});

/** A certificate for a server in this process. */
export function testCertificate(name: Pair = "server"): RenewedCertificate {
  return followCertificate(certificatePair(name), { clock: systemClock, log: silentLog });
}
