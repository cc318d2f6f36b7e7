import type { IncomingHttpHeaders } from "node:http";
import { type Problem, problemHeaders, problemType } from "./problem.ts";

/** Every answer says so: nothing here is to be guessed at, framed, cached or shown to another site. */
const always = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
} as const;

/** A year, in seconds. */
const transport = { "strict-transport-security": "max-age=31536000" } as const;

export type SecurityHeaders = (
  request: { readonly headers: IncomingHttpHeaders } | undefined,
) => Record<string, string>;

/**
 * The headers of every answer.
 *
 * With TLS a browser is told to come by TLS only, save to `localhost`: there it would hold for every other program on any port.
 */
export function securityHeaders(speaksTls: { readonly tls: boolean }): SecurityHeaders {
  const strict = { ...always, ...transport };
  return (request) => (speaksTls.tls && !isLocalhost(request?.headers.host) ? strict : always);
}

function isLocalhost(host = ""): boolean {
  return /^(.+\.)?localhost(:\d*)?$/i.test(host);
}

/** A problem as an HTTP answer in full, for where no library answers; the connection ends with it. */
export function problemAnswer(problem: Problem, headers: Readonly<Record<string, string>>): string {
  const body = JSON.stringify(problem);
  const all = {
    ...headers,
    ...problemHeaders(problem),
    "content-type": problemType,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
    ...(problem.request_id !== undefined && { "x-request-id": problem.request_id }),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${problem.status} ${problem.title}\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}
