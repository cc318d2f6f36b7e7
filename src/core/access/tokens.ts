import { parseTimestamp } from "../../base/time.ts";
import type { TokenInfo } from "../../contract/tokens.ts";

/** Whether a token counts at this time: not revoked, and not expired. */
export function isLiveToken(
  { expires_at, revoked_at }: Pick<TokenInfo, "expires_at" | "revoked_at">,
  now_ms: number,
): boolean {
  return revoked_at === undefined && (expires_at === undefined || (parseTimestamp(expires_at) ?? 0) > now_ms);
}
