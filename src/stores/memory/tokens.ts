import type { StoredToken, TokenStore } from "../../app/ports.ts";
import type { Clock } from "../../base/clock.ts";
import { defined } from "../../base/defined.ts";
import { toTimestamp } from "../../base/time.ts";
import { hasRoomForToken, laterUse } from "../../core/access/tokens.ts";

export function tokenStore(clock: Clock): TokenStore {
  const tokens = new Map<string, StoredToken>();
  return {
    tokens: async () => [...tokens.values()],

    async add(token, most_live) {
      if (!hasRoomForToken(tokens.values(), token.agent_id, { most_live, now_ms: clock.now() })) return false;
      tokens.set(token.key_id, token);
      return true;
    },

    async revoke(key_id) {
      const known = tokens.get(key_id);
      if (!known || known.revoked_at !== undefined) return known;
      const revoked = { ...known, revoked_at: toTimestamp(clock.now()) };
      tokens.set(key_id, revoked);
      return revoked;
    },

    async noteUse(uses) {
      for (const { key_id, at } of uses) {
        const known = tokens.get(key_id);
        if (known) tokens.set(key_id, { ...known, ...defined({ last_used_at: laterUse(known.last_used_at, at) }) });
      }
    },
  };
}
