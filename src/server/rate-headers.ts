import type { RateReport } from "../app/rate-report.ts";

/**
 * How a token stands, in HTTP's words: the three fields in wide use, and the two of the draft that is to replace them.
 *
 * Source: draft-ietf-httpapi-ratelimit-headers-03 (the three) and -10 (`RateLimit-Policy`, `RateLimit`).
 */
export function rateHeaders({ rate_class, window_s, standing }: RateReport): Record<string, string> {
  const { limit, remaining, reset_ms } = standing;
  const reset_s = Math.ceil(reset_ms / 1_000);
  return {
    "ratelimit-limit": String(limit),
    "ratelimit-remaining": String(remaining),
    "ratelimit-reset": String(reset_s),
    "ratelimit-policy": `"${rate_class}";q=${limit};w=${window_s}`,
    ratelimit: `"${rate_class}";r=${remaining};t=${reset_s}`,
  };
}
