import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { type Config, listed } from "../config.ts";
import { BusError } from "../contract/errors.ts";
import type { Certificate } from "../tls/certificate.ts";

const wildcards = new Set(["0.0.0.0", "::"]);

export type OriginOptions = {
  readonly config: Pick<Config, "host" | "allowed_hosts" | "allowed_origins">;
  /** Where the server speaks TLS; its certificate may be renewed. */
  readonly tls?: { readonly current: Pick<Certificate, "covers"> } | undefined;
};

/** The web page of another origin that may call this server, where one does. */
export type ForeignOrigin = string | undefined;
export type GuardOrigin = (headers: IncomingHttpHeaders) => ForeignOrigin;

/**
 * Guards against web pages: one that points its own name at this machine (DNS rebinding) gives itself away by the Host
 * header, one that calls across origins by the Origin header, or by Sec-Fetch-Site where a browser sends no Origin.
 *
 * @throws BusError `forbidden`, from the function returned.
 */
export function originGuard({ config, tls }: OriginOptions): GuardOrigin {
  const isOurs = nameGuard(config, tls);
  const scheme = tls ? "https" : "http";
  const welcome = new Set(listed(config.allowed_origins).map((it) => new URL(it).origin));

  return (headers) => {
    const { host = "", origin } = headers;
    if (!isOurs(nameOf(host))) {
      const way_out = "where it is this server's name, as behind a proxy, add it to the setting allowed_hosts";
      throw new BusError("forbidden", `the Host header ${quoted(host)} does not name this server; ${way_out}`);
    }
    if (origin === undefined) {
      requireOwnSite(headers);
      return undefined;
    }
    if (isSameOrigin(origin, `${scheme}://${host}`)) return undefined;
    if (welcome.has(origin)) return origin;
    const way_out = "the operator can name it in the setting allowed_origins";
    throw new BusError("forbidden", `pages of ${quoted(origin)} may not call this server; ${way_out}`);
  };
}

/** Which names are this server's. A name of ours in another's hands is no danger: only its owner can point it anywhere. */
function nameGuard({ host, allowed_hosts }: OriginOptions["config"], tls: OriginOptions["tls"]) {
  const names = new Set(["localhost", "127.0.0.1", "[::1]", bracketed(host.toLowerCase()), ...listed(allowed_hosts)]);
  const listensEverywhere = wildcards.has(host);
  if (listensEverywhere) names.add(hostname().toLowerCase());

  return (name: string): boolean => {
    if (name === "") return false;
    if (names.has(name) || name.endsWith(".localhost")) return true;
    if (listensEverywhere && isIP(name.replace(/^\[|\]$/g, "")) !== 0) return true;
    return tls?.current.covers(name) ?? false;
  };
}

/** The name in a Host header; empty where it has any other form. */
function nameOf(host: string): string {
  return /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{0,5})?$/i.exec(host)?.[1]?.toLowerCase() ?? "";
}

/** Both as browsers write an origin: without the scheme's own port. */
function isSameOrigin(origin: string, own: string): boolean {
  return URL.canParse(own) && new URL(own).origin === origin;
}

/**
 * Forms, images and scripts call across origins without an Origin header, and a browser says so in Sec-Fetch-Site. Following
 * a link to one of our pages is welcome from everywhere.
 */
function requireOwnSite(headers: IncomingHttpHeaders): void {
  const site = headers["sec-fetch-site"];
  if (site !== "cross-site" && site !== "same-site") return;
  if (headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document") return;
  throw new BusError("forbidden", "pages of another origin may not load anything from this server");
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
