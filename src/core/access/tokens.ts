import { parseTimestamp } from "../../base/time.ts";
import type { AgentId } from "../../contract/messages.ts";
import type { TokenInfo } from "../../contract/tokens.ts";

/** Whether a token counts at this time: not revoked, and not expired. */
export function isLiveToken(
  { expires_at, revoked_at }: Pick<TokenInfo, "expires_at" | "revoked_at">,
  now_ms: number,
): boolean {
  return revoked_at === undefined && (expires_at === undefined || (parseTimestamp(expires_at) ?? 0) > now_ms);
}

/** Whether this agent may have one more token beside those known; a token that is no agent's is always welcome. */
export function hasRoomForToken(
  known: Iterable<Pick<TokenInfo, "agent_id" | "expires_at" | "revoked_at">>,
  agent_id: AgentId | undefined,
  { most_live, now_ms }: { readonly most_live: number; readonly now_ms: number },
): boolean {
  if (agent_id === undefined) return true;
  return [...known].filter((it) => it.agent_id === agent_id && isLiveToken(it, now_ms)).length < most_live;
}

/** The later of two times of use, either of which may be missing. */
export function laterUse(one: string | undefined, other: string | undefined): string | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one;
}
