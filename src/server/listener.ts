import { lookup } from "node:dns/promises";
import http, { type RequestListener, type Server } from "node:http";
import https from "node:https";
import { BlockList, isIP } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { Config } from "../config.ts";
import { BusError } from "../contract/errors.ts";
import type { Certificate } from "../tls/certificate.ts";
import type { RenewedCertificate } from "../tls/renewal.ts";
import type { Timing } from "./timing.ts";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/**
 * Refuses an address that other machines can reach where nothing guards what is said there.
 *
 * @throws BusError `invalid_input`, with both ways out. @throws The system's own error for a name that has no address.
 */
export async function requireGuardedAddress(
  { host, insecure }: Pick<Config, "host" | "insecure">,
  tls: { readonly tls: boolean },
): Promise<void> {
  if (tls.tls || insecure) return;
  const reachable = (await lookup(host, { all: true })).find(({ address }) => !isLoopback(address));
  if (!reachable) return;
  const named = reachable.address === host ? host : `${host} (${reachable.address})`;
  throw new BusError(
    "invalid_input",
    `${named} can be reached from other machines, and without TLS tokens and mail can be read on the way: set --tls-cert and --tls-key, or say --insecure where something else guards the network`,
  );
}

/** Also as IPv6 writes an IPv4 address, `::ffff:127.0.0.1`. */
export function isLoopback(address: string): boolean {
  return loopback.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/**
 * TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3.
 * Source: Mozilla, "Server Side TLS", intermediate compatibility, version 5.7, without its DHE suites.
 */
const tlsPolicy = {
  minVersion: "TLSv1.2",
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
} as const satisfies SecureContextOptions;

export type ListenerOptions = {
  readonly timing: Timing;
  readonly tls: RenewedCertificate | undefined;
};

/** The server below all transports: plain, or speaking TLS with a certificate that may be renewed while it runs. */
export function createListener(handler: RequestListener, { timing, tls }: ListenerOptions): Server {
  const options = {
    headersTimeout: timing.headers_ms,
    requestTimeout: timing.request_ms,
    keepAliveTimeout: timing.keep_alive_ms,
    connectionsCheckingInterval: timing.check_ms,
    keepAlive: true,
    keepAliveInitialDelay: timing.keep_alive_ms,
    // Also where Node was started with --insecure-http-parser: what this one lets through smuggles requests.
    insecureHTTPParser: false,
    // Ours answers, with the headers that every answer has.
    requireHostHeader: false,
    // Some clients offer HTTP/2 by an Upgrade header on every request; theirs are requests like any other.
    shouldUpgradeCallback: ({ headers }: http.IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket",
  };
  const server = tls ? createTlsServer(handler, options, { timing, tls }) : http.createServer(options, handler);
  // An expectation that nobody knows may be ignored (RFC 9110, section 10.1.1); Node would answer it past us.
  server.on("checkExpectation", (request, response) => server.emit("request", request, response));
  return server;
}

function createTlsServer(
  handler: RequestListener,
  options: http.ServerOptions,
  { timing, tls }: { readonly timing: Timing; readonly tls: RenewedCertificate },
): Server {
  const handshakeTimeout = timing.headers_ms;
  const server = https.createServer({ ...options, handshakeTimeout, ...contextOf(tls.current) }, handler);
  tls.onRenewal((certificate) => server.setSecureContext(contextOf(certificate)));
  return server;
}

function contextOf({ cert_pem, key_pem }: Certificate): SecureContextOptions {
  return { ...tlsPolicy, cert: cert_pem, key: key_pem };
}
