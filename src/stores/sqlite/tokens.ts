import type { DatabaseSync } from "node:sqlite";
import type { StoredToken, TokenStore } from "../../app/ports.ts";
import { defined } from "../../base/defined.ts";
import { parseJson } from "../../base/json.ts";
import { toTimestamp } from "../../base/time.ts";
import type { AgentId } from "../../contract/messages.ts";
import type { TokenScope } from "../../contract/tokens.ts";
import { hasRoomForToken, laterUse } from "../../core/access/tokens.ts";
import type { StoreContext } from "./context.ts";
import { prepare } from "./statement.ts";

/** Tokens: on the disk, and all in memory, which says of a known one only what the disk says too. */
export function tokenStore({ queue, clock }: StoreContext, tokens: Map<string, StoredToken>): TokenStore {
  const put = (token: StoredToken) => queue.submit({ operation: "put_token", token }, { apply: () => undefined });

  /** Writes down what changed, and only then knows it: what could not be written is written when it is asked for again. */
  function change(known: StoredToken, changes: Changes): Promise<StoredToken> {
    const request = { operation: "put_token", token: { ...known, ...changes } } as const;
    return queue.submit(request, {
      apply() {
        // Meanwhile another change may have come true; the statement of the writer goes by the same rules.
        const now = changed(tokens.get(known.key_id) ?? known, changes);
        tokens.set(now.key_id, now);
        return now;
      },
    });
  }

  return {
    tokens: async () => [...tokens.values()],

    async add(token, most_live) {
      if (!hasRoomForToken(tokens.values(), token.agent_id, { most_live, now_ms: clock.now() })) return false;
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
      return change(known, { revoked_at: toTimestamp(clock.now()) });
    },

    async noteUse(uses) {
      const used = uses.map(({ key_id, at }) => {
        const known = tokens.get(key_id);
        return known && change(known, { last_used_at: at });
      });
      await Promise.all(used);
    },
  };
}

type Changes = Pick<StoredToken, "revoked_at"> | Pick<StoredToken, "last_used_at">;

/** A token is revoked once and for all, and was last used at the latest of all times of use. */
function changed(known: StoredToken, changes: Changes): StoredToken {
  const { revoked_at, last_used_at }: Partial<StoredToken> = changes;
  return {
    ...known,
    ...defined({
      revoked_at: known.revoked_at ?? revoked_at,
      last_used_at: laterUse(known.last_used_at, last_used_at),
    }),
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
