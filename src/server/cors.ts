import type { IncomingMessage } from "node:http";

/**
 * What a browser has to hear before it lets a page of another origin call, for the origins of `allowed_origins` alone.
 * Without credentials: a page shows its token in a header, and a browser never adds one by itself.
 *
 * Source: Fetch Standard, "CORS protocol".
 */
export function corsHeaders(origin: string, { method, headers }: IncomingMessage): Record<string, string> {
  const allowed = {
    "access-control-allow-origin": origin,
    "access-control-expose-headers": "location, retry-after, x-request-id",
    vary: "origin",
  };
  if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return allowed;
  return {
    ...allowed,
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
    "access-control-allow-headers": "authorization, content-type, idempotency-key, mcp-protocol-version",
    "access-control-max-age": "600",
  };
}
