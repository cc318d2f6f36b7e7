import { toTimestamp } from "../../base/time.ts";
import type { AgentId } from "../../contract/messages.ts";
import type { WriterResult } from "./protocol.ts";
import { readMeta, writeMeta } from "./schema.ts";
import { prepare } from "./statement.ts";
import type { WriterState } from "./writer-state.ts";

type About = { readonly now_ms: number; readonly before_ms: number; readonly limit: number };

/**
 * Forgets messages that are done with: every delivery over, every step of the ledger and every idempotency key older than
 * the horizon; and the events of conversations and agents from before it.
 */
export function prune(state: WriterState, about: About): WriterResult<"prune"> {
  const { db } = state;
  const { before_ms } = about;
  const done = findDone(state, about);
  const dead = new Map<AgentId, number>();
  const sql = statements(db);
  let forgotten = Math.max(readMeta(db, "forgotten_event") ?? 0, sql.lastGeneral.get(before_ms)?.position ?? 0);
  for (const position of done) {
    for (const { agent_id } of sql.deadOf.all(position)) dead.set(agent_id, (dead.get(agent_id) ?? 0) + 1);
    forgotten = Math.max(forgotten, sql.lastOf.get(position)?.position ?? 0);
    for (const statement of sql.remove) statement.run(position);
  }
  sql.removeGeneral.run(before_ms);
  writeMeta(db, "forgotten_event", forgotten);
  writeMeta(db, "last_event", state.lastEvent());
  return { messages: done.length, dead: [...dead] };
}

function findDone({ db, policy }: WriterState, { now_ms, before_ms, limit }: About): number[] {
  return prepare<{ position: number }>(
    db,
    `SELECT position FROM messages AS m
     WHERE timestamp < ?1 AND (idempotency_key IS NULL OR timestamp < ?2)
       AND NOT EXISTS (SELECT 1 FROM deliveries
                       WHERE message_position = m.position AND state NOT IN ('acknowledged', 'dead'))
       AND NOT EXISTS (SELECT 1 FROM events WHERE message_position = m.position AND at_ms >= ?3)
     ORDER BY position LIMIT ?4`,
  )
    .all(toTimestamp(before_ms), toTimestamp(now_ms - policy.idempotency_ms), before_ms, limit)
    .map((it) => it.position);
}

function statements(db: WriterState["db"]) {
  const general = "events WHERE message_position IS NULL AND at_ms < ?";
  type Last = { position: number | null };
  return {
    lastOf: prepare<Last>(db, "SELECT MAX(position) AS position FROM events WHERE message_position = ?"),
    lastGeneral: prepare<Last>(db, `SELECT MAX(position) AS position FROM ${general}`),
    deadOf: prepare<{ agent_id: AgentId }>(
      db,
      "SELECT agent_id FROM deliveries WHERE message_position = ? AND state = 'dead'",
    ),
    remove: ["messages WHERE position", "deliveries WHERE message_position", "events WHERE message_position"].map(
      (it) => prepare(db, `DELETE FROM ${it} = ?`),
    ),
    removeGeneral: prepare(db, `DELETE FROM ${general}`),
  };
}
