import type { IncomingMessage } from "node:http";
import { BusError } from "../contract/errors.ts";
import { tokenLike } from "./log.ts";
import { HttpError } from "./problem.ts";

/**
 * Refuses a request that servers and proxies could read differently, and one that carries a token where histories and the
 * logs of proxies keep it.
 *
 * @throws BusError `invalid_input`. Source: RFC 9112, sections 3.2 and 6.1; RFC 6750, section 5.3.
 */
export function requirePlainRequest({ url = "", headers, rawHeaders, httpVersion }: TargetedRequest): void {
  if (countOf("authorization", rawHeaders) > 1) {
    throw new HttpError(400, "invalid_input", "the request has more than one Authorization header");
  }
  const hosts = countOf("host", rawHeaders);
  if (hosts > 1) throw new HttpError(400, "invalid_input", "the request has more than one Host header");
  if (hosts === 0 && httpVersion !== "1.0") throw new HttpError(400, "invalid_input", "the request has no Host header");
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && coding.toLowerCase() !== "chunked") {
    const message = "the only transfer encoding here is chunked";
    throw new HttpError(400, "invalid_input", message, { connection: "close" });
  }
  requireOwnTarget(url, headers.host ?? "");
  requireNoToken(url);
}

type TargetedRequest = Pick<IncomingMessage, "url" | "headers" | "rawHeaders" | "httpVersion">;

/** The path of a request's target, without authority and query. */
export function pathOf(url: string): string {
  return url.replace(/^https?:\/\/[^/?#]*/i, "").split("?", 1)[0] ?? "";
}

/** The query of a request's target. */
export function queryOf(url: string): string {
  const mark = url.indexOf("?");
  return mark < 0 ? "" : url.slice(mark + 1);
}

/** Pairs of name and value in `rawHeaders`. */
function countOf(name: string, rawHeaders: readonly string[]): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === name.length && rawHeaders[i]?.toLowerCase() === name) count += 1;
  }
  return count;
}

/** A path of this server, or the whole address as a proxy is asked; then it has to name the host that Host names. */
function requireOwnTarget(url: string, host: string): void {
  if (url.startsWith("/") || url === "*") return;
  const authority = /^https?:\/\/([^/?#]*)/i.exec(url)?.[1];
  if (authority === undefined) throw new HttpError(400, "invalid_input", "the request's target is no path");
  if (authority.toLowerCase() !== host.toLowerCase()) {
    throw new HttpError(400, "invalid_input", "the request's target and its Host header name different servers");
  }
}

const tokenField = /[?&](?:access_)?(?:token|authorization|bearer|api_key)=/i;

function requireNoToken(url: string): void {
  if (!tokenField.test(url) && !tokenLike.test(decoded(url))) return;
  throw new BusError(
    "invalid_input",
    "the URL holds a token, where histories and logs keep it: send the header Authorization: Bearer <token>, and replace this token, which others may have seen",
  );
}

function decoded(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return url; // What reads it later says that its encoding is bad.
  }
}
