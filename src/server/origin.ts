import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { BusError } from "../contract/errors.ts";

const wildcards = new Set(["0.0.0.0", "::", "[::]"]);

/**
 * Guards against web pages: one that points its own name at this machine (DNS rebinding) gives itself away by the Host
 * header, one that calls across origins by the Origin header.
 *
 * @param host The address the server listens on.
 * @throws BusError `forbidden`, from the function returned.
 */
export function originGuard(host: string): (headers: IncomingHttpHeaders) => void {
  const names = new Set(["localhost", "127.0.0.1", "[::1]", bracketed(host.toLowerCase())]);
  const listensEverywhere = wildcards.has(host);
  if (listensEverywhere) names.add(hostname().toLowerCase());

  const isOurs = (name: string) =>
    names.has(name) || name.endsWith(".localhost") || (listensEverywhere && isIP(name.replace(/^\[|\]$/g, "")) !== 0);

  return ({ host: given, origin }) => {
    const name = (given ?? "").replace(/:\d*$/, "").toLowerCase();
    if (!isOurs(name)) {
      throw new BusError("forbidden", `the Host header ${JSON.stringify(given ?? "")} does not name this server`);
    }
    if (origin !== undefined && !sameHost(origin, given ?? "")) {
      throw new BusError("forbidden", `pages of ${JSON.stringify(origin)} may not call this server`);
    }
  };
}

function sameHost(origin: string, host: string): boolean {
  return /^https?:\/\//.test(origin) && origin.replace(/^https?:\/\//, "").toLowerCase() === host.toLowerCase();
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}
