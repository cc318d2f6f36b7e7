import { setMaxListeners } from "node:events";
import type { Clock } from "../base/clock.ts";
import { defined } from "../base/defined.ts";
import type { Log } from "../base/log.ts";
import { parseTimestamp, toTimestamp } from "../base/time.ts";
import type { RandomBytes } from "../base/uuid.ts";
import { BusError } from "../contract/errors.ts";
import type { AgentId } from "../contract/messages.ts";
import { type IssuedToken, type NewToken, type TokenInfo, tokenScopes } from "../contract/tokens.ts";
import { isLiveToken } from "../core/access/tokens.ts";
import { hashToken, makeToken, parseToken, sameHash, type Token } from "../crypto/tokens.ts";
import type { Caller } from "./mailroom.ts";
import type { StoredToken, TokenStore } from "./ports.ts";

/** Who may ask: every token of the hive, in memory, so that no request waits to be let in. */
export type Access = AsyncDisposable & {
  /** Whose token this is; undefined for one that is unknown, expired or revoked. */
  authenticate(text: string): Caller | undefined;
  /** @throws BusError `invalid_input`, `token_limit` */
  issue(wanted: NewToken, created_by: string): Promise<IssuedToken>;
  /** The newest first. */
  list(agent_id?: AgentId): TokenInfo[];
  /**
   * From this moment on nothing more is done in its name, and once it resolves that outlasts a restart.
   *
   * @throws BusError `token_not_found`; `storage_full`, `unavailable`: then it is void in this process alone, and is shown
   * without a `revoked_at` until another call has written it down.
   */
  revoke(key_id: string): Promise<TokenInfo>;
  /** Whether a live token acts as this agent. */
  isHeld(agent_id: AgentId): boolean;
  /** Makes a token that was made elsewhere an admin token of this hive, where it is not known yet. */
  adopt(token: Token): Promise<void>;
};

type Entry = {
  info: StoredToken;
  readonly hash: Uint8Array;
  readonly caller: Caller;
  readonly voided: AbortController;
};

type Options = {
  readonly tokens: TokenStore;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly log: Log;
};

/** Two, so that an agent goes over to a new token before the old one is revoked. */
const liveTokensPerAgent = 2;
/** How often expired tokens are looked for; what hangs on one is cut off by then. */
const expiry_check_ms = 500;
const use_flush_ms = 60_000;
/** Who made the first token of a hive. */
const hivepost = "hivepost";

export async function openAccess(options: Options): Promise<Access> {
  const { tokens, clock, randomBytes, log } = options;
  const entries = new Map((await tokens.tokens()).map((it) => [it.key_id, toEntry(it)]));
  const uses = createUses(options, entries);
  const expiring = setInterval(() => voidExpired(entries.values(), clock.now()), expiry_check_ms).unref();

  async function add(token: Token, info: TokenInfo): Promise<void> {
    const stored = { ...info, hash: Buffer.from(hashToken(token.text)).toString("base64url") };
    if (!(await tokens.add(stored, liveTokensPerAgent))) {
      throw new BusError(
        "token_limit",
        `${info.agent_id} has ${liveTokensPerAgent} live tokens, as many as it may; revoke one with DELETE /tokens/{key_id}`,
      );
    }
    entries.set(info.key_id, toEntry(stored));
    log.info({ key_id: info.key_id, scopes: info.scopes, agent_id: info.agent_id }, "made a token");
  }

  return {
    authenticate(text) {
      const entry = entries.get(parseToken(text)?.key_id ?? "");
      if (!entry || !sameHash(hashToken(text), entry.hash) || !isLive(entry, clock.now())) return undefined;
      uses.note(entry);
      return entry.caller;
    },

    async issue(wanted, created_by) {
      const { scopes, agent_id, expires_at } = checkWanted(wanted, clock.now());
      const token = makeToken(scopes.at(-1) ?? "agent", randomBytes);
      const created_at = toTimestamp(clock.now());
      const info = { key_id: token.key_id, scopes, created_at, created_by, ...defined({ agent_id, expires_at }) };
      await add(token, info);
      return { ...info, token: token.text };
    },

    list: (agent_id) =>
      [...entries.values()]
        .filter(({ info }) => agent_id === undefined || info.agent_id === agent_id)
        .map(({ info }) => withoutHash(info))
        .reverse(),

    async revoke(key_id) {
      const entry = entries.get(key_id);
      if (!entry) throw new BusError("token_not_found", `there is no token ${key_id}; GET /tokens lists them`);
      // Before anything that can fail or wait: rather void too early than too late.
      entry.voided.abort();
      const revoked = await tokens.revoke(key_id).catch(refuseHalfRevoked);
      entry.info = { ...entry.info, ...defined({ revoked_at: revoked?.revoked_at }) };
      log.info({ key_id, agent_id: entry.info.agent_id }, "revoked a token");
      return withoutHash(entry.info);
    },

    isHeld: (agent_id) => [...entries.values()].some((it) => it.info.agent_id === agent_id && isLive(it, clock.now())),

    async adopt(token) {
      if (entries.has(token.key_id)) return;
      const created_at = toTimestamp(clock.now());
      await add(token, { key_id: token.key_id, scopes: [token.kind], created_at, created_by: hivepost });
    },

    async [Symbol.asyncDispose]() {
      clearInterval(expiring);
      await uses[Symbol.asyncDispose]();
    },
  };
}

function toEntry(info: StoredToken): Entry {
  const { key_id, scopes, agent_id, created_by } = info;
  const voided = new AbortController();
  // Every connection of the token listens.
  setMaxListeners(0, voided.signal);
  const actor = agent_id ?? (created_by === hivepost ? "operator" : `operator:${key_id}`);
  const caller = { actor, scopes, key_id, voided: voided.signal, ...defined({ agent_id }) };
  return { info, hash: Buffer.from(info.hash, "base64url"), caller, voided };
}

/** As the store says, and not revoked in this process either, however far that has come. */
function isLive({ info, voided }: Entry, now: number): boolean {
  return !voided.signal.aborted && isLiveToken(info, now);
}

/** @throws BusError that says what holds and what does not. */
function refuseHalfRevoked(error: unknown): never {
  if (!(error instanceof BusError)) throw error;
  const { code, message, retry_after_ms } = error;
  throw new BusError(
    code,
    `the token is void from now on, but only until this server restarts, for that could not be written down; revoke it again. ${message}`,
    { cause: error, ...defined({ retry_after_ms }) },
  );
}

function voidExpired(entries: Iterable<Entry>, now: number): void {
  for (const { info, voided } of entries) if (!voided.signal.aborted && !isLiveToken(info, now)) voided.abort();
}

/** @returns The scopes from least to most, and the end in UTC. */
function checkWanted({ scopes, agent_id, expires_at }: NewToken, now: number) {
  const sorted = tokenScopes.filter((it) => scopes.includes(it));
  if (scopes.includes("agent") !== (agent_id !== undefined)) {
    throw new BusError("invalid_input", "a token with the scope agent names its agent_id, and no other token does");
  }
  if (expires_at === undefined) return { scopes: sorted, agent_id, expires_at };
  const expires_ms = parseTimestamp(expires_at);
  if (expires_ms === undefined || expires_ms <= now) {
    throw new BusError("invalid_input", `expires_at: ${expires_at} does not lie in the future`);
  }
  return { scopes: sorted, agent_id, expires_at: toTimestamp(expires_ms) };
}

function withoutHash({ hash: _, ...info }: StoredToken): TokenInfo {
  return info;
}

/** Last uses, to the minute, written down once a minute: a write for every request would be most of its cost. */
function createUses({ tokens, clock, log }: Options, entries: ReadonlyMap<string, Entry>) {
  const unwritten = new Map<string, string>();

  async function flush(): Promise<void> {
    const uses = [...unwritten].map(([key_id, at]) => ({ key_id, at }));
    if (uses.length === 0) return;
    try {
      await tokens.noteUse(uses);
      forgetWritten(unwritten, uses);
    } catch (error) {
      log.warn({ err: error }, "cannot note when tokens were last used; trying again later");
    }
  }

  const flushing = setInterval(() => void flush(), use_flush_ms).unref();
  return {
    note({ info: { key_id } }: Entry): void {
      const at = toTimestamp(Math.floor(clock.now() / use_flush_ms) * use_flush_ms);
      const entry = entries.get(key_id);
      if (!entry || entry.info.last_used_at === at) return;
      entry.info = { ...entry.info, last_used_at: at };
      unwritten.set(key_id, at);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(flushing);
      await flush();
    },
  };
}

/** Except where a token was used again meanwhile. */
function forgetWritten(unwritten: Map<string, string>, uses: readonly { key_id: string; at: string }[]): void {
  for (const { key_id, at } of uses) if (unwritten.get(key_id) === at) unwritten.delete(key_id);
}
