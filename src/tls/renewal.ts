import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type Certificate, type CertificateFiles, readCertificate } from "./certificate.ts";

/** A certificate that follows its files. Disposing it stops looking at them. */
export type RenewedCertificate = Disposable & {
  readonly current: Certificate;
  /** Sets who is told when another one has taken its place. */
  onRenewal(listener: (certificate: Certificate) => void): void;
};

export type RenewalOptions = {
  readonly clock: Clock;
  readonly log: Log;
  /** How often the files are read again. Default: every minute. */
  readonly check_ms?: number;
};

const default_check_ms = 60_000;
/** Let's Encrypt's own advice is to renew at 30 days; later than that somebody should look. */
const soon_ms = 30 * 86_400_000;

/**
 * Reads a certificate, and again whenever its files say something else. Reading, and not watching: renewed files come by
 * symbolic links and mounted volumes as well, which file watchers miss. Files that are halfway written, or wrong, leave the
 * certificate in use as it is.
 *
 * @throws BusError `certificate_unusable` where there is none to begin with.
 */
export function followCertificate(files: CertificateFiles, options: RenewalOptions): RenewedCertificate {
  const { clock, log, check_ms = default_check_ms } = options;
  let current = readCertificate(files, clock.now());
  let complaint: string | undefined;
  let tell = (_: Certificate): void => undefined;
  logExpiry(current, files, options);

  const look = () => {
    try {
      const found = readCertificate(files, clock.now());
      complaint = undefined;
      if (found.cert_pem === current.cert_pem && found.key_pem === current.key_pem) return;
      current = found;
      logExpiry(current, files, options);
      tell(current);
    } catch (error) {
      const { message } = error as Error;
      // Once for each thing that is wrong, not once a minute.
      if (message !== complaint)
        log.error({ reason: message }, "cannot take the renewed certificate; keeping the last");
      complaint = message;
    }
  };
  const timer = setInterval(look, check_ms).unref();
  return {
    get current() {
      return current;
    },
    onRenewal(listener) {
      tell = listener;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function logExpiry({ expires_ms }: Certificate, { cert_file }: CertificateFiles, { clock, log }: RenewalOptions): void {
  const fields = { cert_file, expires_at: new Date(expires_ms).toISOString() };
  if (expiresSoon(expires_ms, clock.now())) log.warn(fields, "the certificate expires soon; renew it");
  else log.info(fields, "took the certificate");
}

/** Whether so little time is left that somebody should look why it was not renewed. */
export function expiresSoon(expires_ms: number, now_ms: number): boolean {
  return expires_ms - now_ms < soon_ms;
}
