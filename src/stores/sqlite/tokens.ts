import type { DatabaseSync } from "node:sqlite";
import type { StoredToken, TokenStore } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { parseJson } from "../../base/json.ts";
import { toTimestamp } from "../../base/time.ts";
import type { AgentId } from "../../contract/messages.ts";
import type { TokenScope } from "../../contract/tokens.ts";
import { isLiveToken } from "../../core/access/tokens.ts";
import type { StoreContext } from "./context.ts";
import { prepare } from "./statement.ts";

/** Tokens: on the disk, and all in memory, where every request is checked against them. */
export function tokenStore({ queue, clock }: StoreContext, tokens: Map<string, StoredToken>): TokenStore {
  const put = (token: StoredToken) => queue.submit({ operation: "put_token", token }, { apply: () => undefined });
  return {
    tokens: async () => [...tokens.values()],

    async add(token, most_live) {
      const live = [...tokens.values()].filter((it) => it.agent_id === token.agent_id && isLiveToken(it, clock.now()));
      if (token.agent_id !== undefined && live.length >= most_live) return false;
      // Taken at once, so that two requests at the same time count each other.
      tokens.set(token.key_id, token);
      try {
        await put(token);
      } catch (error) {
        tokens.delete(token.key_id);
        throw error;
      }
      return true;
    },

    async revoke(key_id) {
      const known = tokens.get(key_id);
      if (!known || known.revoked_at !== undefined) return known;
      // Void before it is on the disk: rather too early than too late.
      const revoked = { ...known, revoked_at: toTimestamp(clock.now()) };
      tokens.set(key_id, revoked);
      await put(revoked);
      return revoked;
    },

    async noteUse(uses) {
      for (const { key_id, at } of uses) {
        const known = tokens.get(key_id);
        if (known) tokens.set(key_id, { ...known, last_used_at: at });
      }
      const used = uses.map(({ key_id }) => tokens.get(key_id)).filter((it) => it !== undefined);
      await Promise.all(used.map(put));
    },
  };
}

type TokenRow = {
  key_id: string;
  hash: string;
  scopes: string;
  agent_id: AgentId | null;
  created_at: string;
  created_by: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
};

export function loadTokens(db: DatabaseSync): Map<string, StoredToken> {
  const rows = prepare<TokenRow>(
    db,
    `SELECT key_id, hash, scopes, agent_id, created_at, created_by, expires_at, last_used_at, revoked_at
     FROM tokens ORDER BY position`,
  ).all();
  return new Map(rows.map((row) => [row.key_id, toToken(row)]));
}

function toToken({ key_id, hash, scopes, created_at, created_by, ...row }: TokenRow): StoredToken {
  return {
    key_id,
    hash,
    scopes: parseJson(scopes) as TokenScope[], // Written by us, from scopes.
    created_at,
    created_by,
    ...defined({
      agent_id: row.agent_id ?? undefined,
      expires_at: row.expires_at ?? undefined,
      last_used_at: row.last_used_at ?? undefined,
      revoked_at: row.revoked_at ?? undefined,
    }),
  };
}
