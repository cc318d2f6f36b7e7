import type { Vault } from "../../crypto/vault.ts";
import { addKeys, replaceKeys } from "./keys.ts";
import type { WriterOperation, WriterOperations, WriterRequest, WriterResult } from "./protocol.ts";
import { readMeta, writeMeta, writeMetaText } from "./schema.ts";
import { prepare } from "./statement.ts";
import { type Arrivals, createArrivals } from "./writer-arrivals.ts";
import type { OpenedConversation } from "./writer-conversations.ts";
import { createDeliveryWrites } from "./writer-deliveries.ts";
import { openConversation } from "./writer-entering.ts";
import { createParking, type Parking } from "./writer-parking.ts";
import { prune } from "./writer-prune.ts";
import { createReencryption } from "./writer-reencrypt.ts";
import type { MeteredCipher } from "./writer-seals.ts";
import type { WriterState } from "./writer-state.ts";

type Perform = {
  readonly [Name in WriterOperation]: (request: WriterOperations[Name]["request"]) => WriterOperations[Name]["result"];
};

export type WriterOperationSet = {
  /** Does one request, within a transaction that is open. */
  perform(request: WriterRequest): WriterResult;
  /** What a batch does besides what it was asked: keeps the index of open deliveries. */
  maintain(): void;
  /** After a rollback. */
  rollBack(): void;
};

type Secrets = { readonly vault: Vault; readonly meter: MeteredCipher };

/** Everything the writer can be asked, over one open connection. */
export function createWriterOperations(state: WriterState, secrets: Secrets): WriterOperationSet {
  const { meter } = secrets;
  const arrivals = createArrivals(state, readMeta(state.db, "kept_since_ms"));
  const parking = createParking(state);
  const operations: Perform = {
    ...createDeliveryWrites(state),
    ...arrivalOperations(state, arrivals, parking),
    ...conversationOperations(state),
    ...agentOperations(state),
    ...tokenOperations(state),
    ...keyOperations(state, secrets),
    keep_audit_head({ head }): undefined {
      writeMetaText(state.db, "audit_head", head);
    },
    barrier: () => undefined,
    flush: () => state.conversations.flush(state.lastPublished()),
  };
  return {
    perform(request) {
      // The name and the request come from the same member of the union, which the compiler cannot follow through a call.
      const one = operations[request.operation] as (request: WriterRequest) => WriterResult;
      return one(request);
    },
    maintain() {
      parking.park();
      meter.maintain();
    },
    rollBack() {
      meter.rollBack();
      arrivals.forgetPositions();
      arrivals.setKeptSince(readMeta(state.db, "kept_since_ms"));
      parking.rollBack();
    },
  };
}

function arrivalOperations(
  state: WriterState,
  arrivals: Arrivals,
  parking: Parking,
): Pick<Perform, "publish" | "import" | "prune"> {
  const { db } = state;
  return {
    publish: ({ now_ms, steady_ms, publications }) =>
      publications.map((it) => {
        const written = arrivals.publish(it, { now_ms, steady_ms });
        if (written.outcome === "accepted") parking.count(written.position);
        return written;
      }),

    import: ({ now_ms, messages }) => messages.map((it) => arrivals.import(it, now_ms)),

    prune(about) {
      state.writeEvents(); // What this batch has noted already is part of the ledgers it looks at.
      const kept_since_ms = Math.max(about.before_ms, readMeta(db, "kept_since_ms") ?? about.before_ms);
      writeMeta(db, "kept_since_ms", kept_since_ms);
      arrivals.setKeptSince(kept_since_ms);
      arrivals.forgetPositions();
      return prune(state, about);
    },
  };
}

function conversationOperations(state: WriterState): Pick<Perform, "open_conversation" | "change_status"> {
  const { conversations } = state;
  return {
    open_conversation({ now_ms, id, participants, sealed, actor }) {
      const opening = { id, participants, actor, sealed, implicit: false, opened_ms: now_ms, now_ms };
      return asConversation(conversations.byId(id) ?? openConversation(state, opening));
    },

    change_status({ now_ms, id, status, actor }) {
      const known = conversations.byId(id);
      if (!known || known.status === status) return known && asConversation(known);
      state.note({ event: "conversation_changed", at_ms: now_ms, conversation_id: id, actor, reason: status });
      return asConversation(conversations.changeStatus(known, status));
    },
  };
}

function asConversation({ position: _, implicit: __, ...conversation }: OpenedConversation) {
  return conversation;
}

function tokenOperations({ db }: WriterState): Pick<Perform, "put_token"> {
  const put = prepare(
    db,
    `INSERT INTO tokens (key_id, hash, scopes, agent_id, created_at, created_by, expires_at, last_used_at, revoked_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (key_id) DO UPDATE SET
       last_used_at = NULLIF(MAX(COALESCE(last_used_at, ''), COALESCE(excluded.last_used_at, '')), ''),
       revoked_at = COALESCE(revoked_at, excluded.revoked_at)`,
  );
  return {
    put_token({ token }): undefined {
      const { key_id, hash, scopes, created_at, created_by } = token;
      const { agent_id = null, expires_at = null, last_used_at = null, revoked_at = null } = token;
      const known = [agent_id, created_at, created_by, expires_at, last_used_at, revoked_at];
      put.run(key_id, hash, JSON.stringify(scopes), ...known);
    },
  };
}

function keyOperations(
  state: WriterState,
  { vault }: Secrets,
): Pick<Perform, "add_keys" | "replace_keys" | "use_keys" | "reencrypt"> {
  const reencrypt = createReencryption(state);
  return {
    add_keys: ({ keys }) => addKeys(state.db, keys),
    replace_keys({ keys }): undefined {
      replaceKeys(state.db, keys);
    },
    use_keys({ keys }): undefined {
      vault.use(keys);
    },
    reencrypt: ({ limit }) => reencrypt(vault.newest().epoch, limit),
  };
}

function agentOperations(state: WriterState): Pick<Perform, "put_agent" | "remove_agent"> {
  const put = prepare(
    state.db,
    `INSERT INTO agents VALUES (?, ?, ?)
     ON CONFLICT (agent_id) DO UPDATE SET registration = excluded.registration`,
  );
  const remove = prepare(state.db, "DELETE FROM agents WHERE agent_id = ?");
  return {
    put_agent({ now_ms, registered_at, registration, actor, keys_change }): undefined {
      const { agent_id } = registration;
      put.run(agent_id, registered_at, JSON.stringify(registration));
      state.note({ event: "agent_registered", at_ms: now_ms, agent_id, actor });
      if (keys_change) state.note({ event: "agent_keys_changed", at_ms: now_ms, agent_id, actor, ...keys_change });
    },

    remove_agent({ now_ms, agent_id, actor }): undefined {
      remove.run(agent_id);
      state.note({ event: "agent_removed", at_ms: now_ms, agent_id, actor });
    },
  };
}
