import type { DatabaseSync } from "node:sqlite";
import { toTimestamp } from "../../base/time.ts";
import type { DeliveryWrite, WriterOperation, WriterOperations, WriterRequest, WriterResult } from "./protocol.ts";
import { readMeta, writeMeta } from "./schema.ts";
import { prepare } from "./statement.ts";
import type { OpenedConversation } from "./writer-conversations.ts";
import { createParking } from "./writer-parking.ts";
import { createArrivals, openConversation } from "./writer-publish.ts";
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

/** Everything the writer can be asked, over one open connection. */
export function createWriterOperations(state: WriterState): WriterOperationSet {
  const { db, conversations } = state;
  const arrivals = createArrivals(state, readMeta(db, "kept_since_ms"));
  const parking = createParking(state);
  const sql = statements(db);

  const operations: Perform = {
    publish: ({ now_ms, steady_ms, publications }) =>
      publications.map((it) => {
        const written = arrivals.publish(it, { now_ms, steady_ms });
        if (written.outcome === "accepted") parking.count(written.position);
        return written;
      }),

    import: ({ now_ms, messages }) => messages.map((it) => arrivals.import(it, now_ms)),

    acknowledge({ at_ms, actor, steps }) {
      for (const { position, recipient, agent_id, attempt, lease_id } of steps) {
        sql.acknowledge.run(attempt, lease_id, position, recipient);
        state.note({ event: "acknowledged", at_ms, message_position: position, agent_id, actor });
        state.changeDepth(agent_id, -1);
      }
      return undefined;
    },

    steps: ({ steps }) =>
      steps.map(({ ledger, delivery }) => {
        if (delivery && !sql.isThere.get(delivery.position, delivery.recipient)) return false;
        let last_event = 0;
        for (const { position: message_position, ...event } of ledger) {
          last_event = state.note({ ...event, message_position });
        }
        if (delivery) writeDelivery(delivery, last_event);
        return true;
      }),

    open_conversation({ now_ms, id, participants, actor }) {
      const known = conversations.byId(id);
      return asConversation(
        known ?? openConversation(state, { id, participants, actor, implicit: false, opened_ms: now_ms, now_ms }),
      );
    },

    change_status({ now_ms, id, status, actor }) {
      const known = conversations.byId(id);
      if (!known || known.status === status) return known && asConversation(known);
      state.note({ event: "conversation_changed", at_ms: now_ms, conversation_id: id, actor, reason: status });
      return asConversation(conversations.changeStatus(known, status));
    },

    put_agent({ now_ms, registered_at, registration, actor }) {
      const { agent_id } = registration;
      sql.putAgent.run(agent_id, registered_at, JSON.stringify(registration));
      state.note({ event: "agent_registered", at_ms: now_ms, agent_id, actor });
      return undefined;
    },

    remove_agent({ now_ms, agent_id, actor }) {
      sql.removeAgent.run(agent_id);
      state.note({ event: "agent_removed", at_ms: now_ms, agent_id, actor });
      return undefined;
    },

    prune({ now_ms, before_ms, limit }) {
      state.writeEvents(); // What this batch has noted already is part of the ledgers below.
      const kept_since_ms = Math.max(before_ms, readMeta(db, "kept_since_ms") ?? before_ms);
      writeMeta(db, "kept_since_ms", kept_since_ms);
      arrivals.setKeptSince(kept_since_ms);
      arrivals.forgetPositions();
      return { messages: prune(state, { now_ms, before_ms, limit }) };
    },

    flush() {
      conversations.flush(state.lastPublished());
      return undefined;
    },
  };

  function writeDelivery(it: DeliveryWrite, last_event: number): void {
    sql.writeDelivery.run(
      it.state,
      it.attempt,
      it.expires_ms ?? null,
      it.available_ms ?? null,
      it.not_before_ms ?? null,
      it.delay_until_ms ?? null,
      it.reason ?? null,
      it.state === "dead" ? last_event : null,
      it.position,
      it.recipient,
    );
    if (it.depth_change !== 0) state.changeDepth(it.agent_id, it.depth_change);
  }

  return {
    perform(request) {
      // The name and the request come from the same member of the union, which the compiler cannot follow through a call.
      const one = operations[request.operation] as (request: WriterRequest) => WriterResult;
      return one(request);
    },
    maintain: parking.park,
    rollBack() {
      arrivals.forgetPositions();
      arrivals.setKeptSince(readMeta(db, "kept_since_ms"));
      parking.rollBack();
    },
  };
}

function asConversation({ id, participants, created_at, last_activity, status }: OpenedConversation) {
  return { id, participants, created_at, last_activity, status };
}

function statements(db: DatabaseSync) {
  return {
    acknowledge: prepare(
      db,
      `UPDATE deliveries SET state = 'acknowledged', attempt = ?, lease_id = ?, reason = NULL
       WHERE message_position = ? AND recipient = ?`,
    ),
    isThere: prepare<object>(db, "SELECT 1 FROM deliveries WHERE message_position = ? AND recipient = ?"),
    writeDelivery: prepare(
      db,
      `UPDATE deliveries SET state = ?, attempt = ?, expires_ms = ?, available_ms = ?, not_before_ms = ?,
         delay_until_ms = ?, reason = ?, dead_event = ?, parked = 1
       WHERE message_position = ? AND recipient = ?`,
    ),
    putAgent: prepare(
      db,
      `INSERT INTO agents VALUES (?, ?, ?)
       ON CONFLICT (agent_id) DO UPDATE SET registration = excluded.registration`,
    ),
    removeAgent: prepare(db, "DELETE FROM agents WHERE agent_id = ?"),
  };
}

/**
 * Forgets messages that are done with: every delivery over, every step of the ledger and every idempotency key older than
 * the horizon; and the events of conversations and agents from before it.
 */
function prune(state: WriterState, about: { now_ms: number; before_ms: number; limit: number }): number {
  const { db, policy } = state;
  const { now_ms, before_ms, limit } = about;
  const done = prepare<{ position: number }>(
    db,
    `SELECT position FROM messages AS m
     WHERE timestamp < ?1 AND (idempotency_key IS NULL OR timestamp < ?2)
       AND NOT EXISTS (SELECT 1 FROM deliveries
                       WHERE message_position = m.position AND state NOT IN ('acknowledged', 'dead'))
       AND NOT EXISTS (SELECT 1 FROM events WHERE message_position = m.position AND at_ms >= ?3)
     ORDER BY position LIMIT ?4`,
  ).all(toTimestamp(before_ms), toTimestamp(now_ms - policy.idempotency_ms), before_ms, limit);
  const lastOf = prepare<{ position: number | null }>(
    db,
    "SELECT MAX(position) AS position FROM events WHERE message_position = ?",
  );
  const remove = ["messages WHERE position", "deliveries WHERE message_position", "events WHERE message_position"].map(
    (it) => prepare(db, `DELETE FROM ${it} = ?`),
  );
  const general = "events WHERE message_position IS NULL AND at_ms < ?";
  const lastGeneral = prepare<{ position: number | null }>(db, `SELECT MAX(position) AS position FROM ${general}`);
  let forgotten = Math.max(readMeta(db, "forgotten_event") ?? 0, lastGeneral.get(before_ms)?.position ?? 0);
  for (const { position } of done) {
    forgotten = Math.max(forgotten, lastOf.get(position)?.position ?? 0);
    for (const statement of remove) statement.run(position);
  }
  prepare(db, `DELETE FROM ${general}`).run(before_ms);
  writeMeta(db, "forgotten_event", forgotten);
  writeMeta(db, "last_event", state.lastEvent());
  return done.length;
}
